"""Times `ufm` (the program beside this file) and PyTorch's L-BFGS with the strong Wolfe line search on two threads in one run:
cross-entropy with decay, K = 10, n = 100, d = 64, from a random start to a gradient of norm 1e-9, in float64.

    python compare.py PATH/TO/solve [ROUNDS]
"""
import json, subprocess, sys, time

import torch

torch.set_num_threads(2)
torch.set_default_dtype(torch.float64)
K, n, d, lw, lh = 10, 100, 64, 5e-4, 1e-5
labels = torch.arange(K).repeat_interleave(n)


class Done(Exception):
    pass


def peer(history):
    torch.manual_seed(0)
    W = (0.5 * torch.randn(K, d)).requires_grad_()
    H = (0.5 * torch.randn(K * n, d)).requires_grad_()
    o = torch.optim.LBFGS([W, H], lr=1, max_iter=5000, max_eval=10000, history_size=history, line_search_fn="strong_wolfe",
                          tolerance_grad=0, tolerance_change=0)
    state = {"calls": 0}

    def closure():
        o.zero_grad()
        loss = torch.nn.functional.cross_entropy(H @ W.T, labels) + lw / 2 * (W * W).sum() + lh / 2 * (H * H).sum()
        loss.backward()
        state.update(calls=state["calls"] + 1, value=loss.item(), gradient=((W.grad**2).sum() + (H.grad**2).sum()).sqrt().item())
        if state["gradient"] <= 1e-9:
            raise Done
        return loss

    begin = time.perf_counter()
    try:
        o.step(closure)
    except Done:
        pass
    return dict(state, seconds=time.perf_counter() - begin)


rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
ours = json.loads(subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout)
torch_runs = {h: min((peer(h) for _ in range(rounds)), key=lambda r: r["seconds"]) for h in (10, 100)}
fastest = min(r["seconds"] for r in torch_runs.values())
for name, r in ours.items():
    print(f"{name:30s} {1e3 * r['seconds']:10.2f} ms  value {r['value']:.12f}" + (f"  gradient {r['gradient_norm']:.1e}  gap {r['gap']:.1e}" if "gradient_norm" in r else "") + f"  {r['megabytes']:.0f} MB")
for h, r in torch_runs.items():
    print(f"{'torch, history ' + str(h):30s} {1e3 * r['seconds']:10.2f} ms  value {r['value']:.12f}  gradient {r['gradient']:.1e}  {r['calls']} evaluations")
for name in ("ce_k10_n100_d64", "ce_k10_n100_d64_all_samples"):
    print(f"{name} is {fastest / ours[name]['seconds']:.1f} times as fast as the faster of them")
