package torch

import (
	"strings"

	"github.com/collapsar/collapsar/internal/array"
)

// storage is what torch keeps a tensor's elements in: a record of the zip.
type storage struct {
	key   string      // the record is data/key
	dtype array.DType // Invalid: untyped, size counts bytes
	size  int64       // in elements
}

// tensor is a view of a storage.
type tensor struct {
	*storage
	dtype   array.DType
	offset  int64 // in elements
	shape   []int
	strides []int // in elements
}

// dtype is NumPy's, by its code: "f4".
type dtype struct {
	code      string
	bigEndian bool
}

// ndarray is a NumPy array, its elements in the pickle itself.
type ndarray struct {
	dtype   *dtype
	shape   []int
	fortran bool
	data    []byte
}

// storages are the globals that name a storage class. It stands on the stack by its name until a
// persistent id makes a storage of it.
var storages = map[global]array.DType{
	"torch.FloatStorage": array.Float32, "torch.DoubleStorage": array.Float64,
	"torch.HalfStorage": array.Float16, "torch.BFloat16Storage": array.BFloat16,
	"torch.LongStorage": array.Int64, "torch.IntStorage": array.Int32, "torch.ShortStorage": array.Int16,
	"torch.CharStorage": array.Int8, "torch.ByteStorage": array.Uint8, "torch.BoolStorage": array.Bool,
	"torch.storage.UntypedStorage": array.Invalid,
}

// dtypes are the element types that a tensor over an untyped storage may name; a checkpoint may
// also hold one as a setting.
var dtypes = map[global]array.DType{
	"torch.float32": array.Float32, "torch.float64": array.Float64, "torch.float16": array.Float16,
	"torch.bfloat16": array.BFloat16, "torch.int64": array.Int64, "torch.int32": array.Int32,
	"torch.int16": array.Int16, "torch.int8": array.Int8, "torch.uint8": array.Uint8, "torch.bool": array.Bool,
	"torch.uint16": array.Uint16, "torch.uint32": array.Uint32, "torch.uint64": array.Uint64,
}

// callables are the globals that may be reduced, each to a value made here; nil says that it only
// stands as an argument. This list, with the two above, is all that a pickle may name.
var callables = map[global]func(m *machine, args tuple) any{
	"collections.OrderedDict":             orderedDict,
	"torch._utils._rebuild_tensor_v2":     rebuildTensor,
	"torch._utils._rebuild_tensor_v3":     rebuildTensor,
	"torch._utils._rebuild_parameter":     rebuildParameter,
	"numpy.core.multiarray._reconstruct":  reconstruct,
	"numpy._core.multiarray._reconstruct": reconstruct,
	"numpy.ndarray":                       nil,
	"numpy.dtype":                         makeDType,
	"_codecs.encode":                      encode,
	"__builtin__.bytes":                   emptyBytes, // how protocol 2 writes b""
	"torch.Size":                          leaf,       // settings and statistics that
	"torch.device":                        leaf,       // checkpoints hold beside tensors
	"numpy.core.multiarray.scalar":        leaf,
	"numpy._core.multiarray.scalar":       leaf,
}

func (m *machine) global(module, name string) {
	g := global(module + "." + name)
	_, isCallable := callables[g]
	_, isStorage := storages[g]
	_, isDType := dtypes[g]
	switch {
	case m.err != nil:
	case isCallable || isStorage || isDType:
		m.push(g)
	case strings.HasPrefix(string(g), "torch.nn."), module == "__main__":
		m.fail(array.Unsupported, "the pickle holds an object of class %.80s, so this is a saved module or a program's own object: "+
			"save a state_dict or features (torch.save({\"features\": h, \"labels\": y}, path))", g)
	default:
		m.fail(array.Unsupported, "the pickle names %.80s, which is not on the list of what is read; nothing was run. "+
			"Save tensors in dicts and lists", g)
	}
}

func (m *machine) reduce(f global, args tuple) {
	if m.err != nil {
		return
	}
	call := callables[f]
	if call == nil {
		m.fail(array.Unsupported, "the pickle calls %s", f)
		return
	}
	if v := call(m, args); m.err == nil {
		m.push(v)
	}
}

// persistent makes a storage of ("storage", class, key, place, size).
func (m *machine) persistent(id any) {
	if m.err != nil {
		return
	}
	t, _ := id.(tuple)
	if len(t) == 5 && t[0] == "storage" {
		class, ok1 := t[1].(global)
		key, ok2 := t[2].(string)
		size, ok3 := t[4].(int64)
		dtype, ok4 := storages[class]
		if ok1 && ok2 && ok3 && ok4 {
			m.push(&storage{key, dtype, size})
			return
		}
	}
	m.fail(array.Malformed, "a persistent id that describes no storage")
}

// build gives state to an object: attributes, which are dropped, or what a NumPy value is made of.
func (m *machine) build(object, state any) {
	if m.err != nil {
		return
	}
	t, _ := state.(tuple)
	switch o := object.(type) {
	case *dict: // an OrderedDict's attributes: a state_dict keeps versions of its modules there
		return
	case *dtype: // (version, byte order, ...)
		if len(t) > 2 {
			if order, ok := t[1].(string); ok && (order == "<" || order == ">" || order == "|") && t[2] == nil {
				o.bigEndian = order == ">"
				return
			}
		}
		m.fail(array.Unsupported, "a NumPy dtype with fields or parts")
		return
	case *ndarray: // (version, shape, dtype, Fortran order, bytes)
		if len(t) == 5 {
			shape, ok1 := ints(t[1])
			dt, ok2 := t[2].(*dtype)
			fortran, ok3 := t[3].(bool)
			data, ok4 := t[4].([]byte)
			if ok1 && ok2 && ok3 && !ok4 {
				m.fail(array.Unsupported, "a NumPy array of Python objects (dtype %.20q): save numbers", dt.code)
				return
			}
			if ok1 && ok2 && ok3 && ok4 {
				o.dtype, o.shape, o.fortran, o.data = dt, shape, fortran, data
				return
			}
		}
	}
	m.fail(array.Malformed, "BUILD of something that takes no state")
}

func orderedDict(m *machine, args tuple) any {
	if len(args) > 0 {
		m.fail(array.Malformed, "an OrderedDict made from arguments")
	}
	return &dict{}
}

// rebuildTensor takes (storage, offset, size, stride, requires_grad, hooks) and, in version 3, a dtype.
// What does not fit the storage is found when the tensor has a name to complain with.
func rebuildTensor(m *machine, args tuple) any {
	if len(args) >= 4 {
		s, ok1 := args[0].(*storage)
		offset, ok2 := args[1].(int64)
		shape, ok3 := ints(args[2])
		strides, ok4 := ints(args[3])
		if ok1 && ok2 && ok3 && ok4 {
			t := &tensor{s, s.dtype, offset, shape, strides}
			if len(args) >= 7 {
				g, _ := args[6].(global)
				if dt, ok := dtypes[g]; ok {
					t.dtype = dt
				}
			}
			if t.dtype != array.Invalid && (s.dtype == array.Invalid || s.dtype == t.dtype) {
				return t
			}
		}
	}
	m.fail(array.Malformed, "a tensor whose storage, offset, size and stride are not those of a tensor")
	return nil
}

func rebuildParameter(m *machine, args tuple) any {
	if len(args) > 0 {
		if t, ok := args[0].(*tensor); ok {
			return t
		}
	}
	m.fail(array.Malformed, "a parameter without a tensor")
	return nil
}

func reconstruct(*machine, tuple) any { return &ndarray{} }

func makeDType(m *machine, args tuple) any {
	if len(args) > 0 {
		if code, ok := args[0].(string); ok {
			return &dtype{code: code}
		}
	}
	m.fail(array.Unsupported, "a NumPy dtype that is no simple code")
	return nil
}

// encode turns text of code points below 256 back into the bytes it stands for.
func encode(m *machine, args tuple) any {
	if len(args) == 2 && args[1] == "latin1" {
		if s, ok := args[0].(string); ok {
			m.charge(len(s))
			if m.err != nil {
				return nil
			}
			b := make([]byte, 0, len(s))
			for _, r := range s {
				if r > 255 {
					m.fail(array.Malformed, "bytes written as text with a character beyond latin1")
					return nil
				}
				b = append(b, byte(r))
			}
			return b
		}
	}
	m.fail(array.Unsupported, "_codecs.encode with something other than text and latin1")
	return nil
}

func emptyBytes(m *machine, args tuple) any {
	if len(args) > 0 {
		m.fail(array.Unsupported, "bytes made from arguments")
	}
	return []byte(nil)
}

func leaf(*machine, tuple) any { return inert{} }

// ints is a tuple of integers.
func ints(v any) ([]int, bool) {
	t, ok := v.(tuple)
	if !ok {
		return nil, false
	}
	n := make([]int, len(t))
	for i, x := range t {
		k, ok := x.(int64)
		if !ok || int64(int(k)) != k {
			return nil, false
		}
		n[i] = int(k)
	}
	return n, true
}
