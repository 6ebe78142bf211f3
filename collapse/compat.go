package collapse

// Scripts lists the published scripts whose numbers can be had under their own names.
func Scripts() []string { return []string{"papyan", "han", "zhu", "zhou", "rhubarb", "lpm"} }

func (s *sample) imitate(r *Result, script string) {}
