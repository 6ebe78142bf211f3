package torch

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/collapsar/collapsar/internal/array"
)

// machine runs the part of the pickle language that torch.save writes. It knows no way to import or to
// call: a global is a name looked up in the table of globals.go, and a REDUCE of one builds a
// value of the kinds below. Everything it keeps is charged to a budget, so that a small hostile
// pickle cannot grow without bound.
//
// Values are nil, bool, int64, float64, string, []byte, tuple, *list, *dict, global, inert and
// what globals.go adds: *storage, *tensor, *dtype, *ndarray.
type machine struct {
	data   []byte
	pos    int
	opcode int // where the opcode being run began, for messages
	stack  []any
	marks  []int // heights of the stack at the open MARKs
	memo   []any
	budget int64
	err    error
}

type (
	tuple  []any
	list   struct{ items []any }
	dict   struct{ keys, values []any } // in order of insertion
	global string                       // "module.name", on the list of globals.go
	inert  struct{}                     // a value nothing here depends on
)

// maxStack bounds the values that are being put together at one time.
const maxStack = 1 << 20

// unpickle returns the value that data describes, holding at most budget bytes for it.
func unpickle(data []byte, budget int64) (any, error) {
	m := &machine{data: data, budget: budget}
	for m.err == nil {
		m.opcode = m.pos
		if op := m.byte(); op == '.' {
			v := m.pop()
			if m.err == nil && (len(m.stack) > 0 || len(m.marks) > 0) {
				m.fail(array.Malformed, "values are left on the stack at the end")
			}
			if m.err == nil && m.pos != len(m.data) {
				m.fail(array.Malformed, "%d bytes follow the end", len(m.data)-m.pos)
			}
			return v, m.err
		} else if m.err == nil {
			m.step(op)
		}
	}
	return nil, m.err
}

// fail records the first complaint; the loop stops at it.
func (m *machine) fail(kind array.Kind, format string, args ...any) {
	if m.err == nil {
		e := array.Errorf(kind, "", format, args...)
		e.Message = "data.pkl, byte " + strconv.Itoa(m.opcode) + ": " + e.Message
		m.err = e
	}
}

// charge takes n bytes from the budget.
func (m *machine) charge(n int) {
	if m.budget -= int64(n); m.budget < 0 {
		m.fail(array.TooLarge, "the pickle needs more than the memory budget")
	}
}

func (m *machine) step(op byte) {
	switch op {
	case 0x80: // PROTO
		if v := m.byte(); v < 2 || v > 5 {
			m.fail(array.Unsupported, "pickle protocol %d (2 to 5 are read)", v)
		}
	case 0x95: // FRAME: a hint about buffering
		m.take(8)

	// Constants.
	case 'N':
		m.push(nil)
	case 0x88:
		m.push(true)
	case 0x89:
		m.push(false)
	case 'K':
		m.push(int64(m.byte()))
	case 'M':
		m.push(int64(m.uint(2)))
	case 'J':
		m.push(int64(int32(m.uint(4))))
	case 0x8a: // LONG1
		m.long(m.uint(1))
	case 0x8b: // LONG4
		m.long(m.uint(4))
	case 'G':
		m.push(m.float())
	case 'X':
		m.text(m.uint(4))
	case 0x8c: // SHORT_BINUNICODE
		m.text(m.uint(1))
	case 0x8d: // BINUNICODE8
		m.text(m.uint(8))
	case 'T': // BINSTRING
		m.text(m.uint(4))
	case 'U': // SHORT_BINSTRING
		m.text(m.uint(1))
	case 'B':
		m.binary(m.uint(4))
	case 'C':
		m.binary(m.uint(1))
	case 0x8e, 0x96: // BINBYTES8, BYTEARRAY8
		m.binary(m.uint(8))

	// Containers.
	case ')':
		m.push(tuple(nil))
	case 0x85:
		m.tuple(1)
	case 0x86:
		m.tuple(2)
	case 0x87:
		m.tuple(3)
	case 't':
		m.push(tuple(m.popMark()))
	case ']':
		m.push(&list{})
	case 'l':
		m.push(&list{m.popMark()})
	case 'a':
		v := m.pop()
		m.append(v)
	case 'e':
		m.append(m.popMark()...)
	case '}':
		m.push(&dict{})
	case 'd':
		items := m.popMark()
		m.push(&dict{})
		m.set(items)
	case 's':
		v, k := m.pop(), m.pop()
		m.set([]any{k, v})
	case 'u':
		m.set(m.popMark())
	case 0x8f: // EMPTY_SET
		m.push(inert{})
	case 0x90: // ADDITEMS
		m.popMark()
		if _, ok := m.top().(inert); !ok {
			m.fail(array.Malformed, "ADDITEMS to something that is no set")
		}
	case 0x91: // FROZENSET
		m.popMark()
		m.push(inert{})

	// The stack and the memo.
	case '(':
		if len(m.marks) >= maxStack {
			m.fail(array.TooLarge, "more than %d marks", maxStack)
			return
		}
		m.marks = append(m.marks, len(m.stack))
	case '0':
		m.pop()
	case '1':
		m.popMark()
	case '2':
		m.push(m.top())
	case 'q':
		m.put(m.uint(1))
	case 'r':
		m.put(m.uint(4))
	case 0x94: // MEMOIZE
		m.put(uint64(len(m.memo)))
	case 'h':
		m.get(m.uint(1))
	case 'j':
		m.get(m.uint(4))

	// What would import and call, were this an ordinary unpickler.
	case 'c':
		module, name := m.line(), m.line()
		m.global(module, name)
	case 0x93: // STACK_GLOBAL
		name, ok1 := m.pop().(string)
		module, ok2 := m.pop().(string)
		if m.err == nil && !(ok1 && ok2) {
			m.fail(array.Malformed, "a global whose name is no string")
			return
		}
		m.global(module, name)
	case 'R', 0x81: // REDUCE, NEWOBJ
		args, ok1 := m.pop().(tuple)
		f, ok2 := m.pop().(global)
		if m.err == nil && !(ok1 && ok2) {
			m.fail(array.Malformed, "a call of something that is no global")
			return
		}
		m.reduce(f, args)
	case 'b':
		state := m.pop()
		m.build(m.top(), state)
	case 'Q':
		m.persistent(m.pop())

	default:
		m.fail(array.Unsupported, "pickle opcode 0x%02x is not among those that torch.save writes", op)
	}
}

// Reading.

func (m *machine) take(n uint64) []byte {
	if n > uint64(len(m.data)-m.pos) {
		m.fail(array.Truncated, "the pickle ends early: %d bytes wanted, %d left", n, len(m.data)-m.pos)
	}
	if m.err != nil {
		return nil
	}
	b := m.data[m.pos : m.pos+int(n) : m.pos+int(n)]
	m.pos += int(n)
	return b
}

func (m *machine) byte() byte { return byte(m.uint(1)) }

// uint reads a little-endian number of n bytes.
func (m *machine) uint(n int) uint64 {
	var b [8]byte
	copy(b[:], m.take(uint64(n)))
	return binary.LittleEndian.Uint64(b[:])
}

// float reads a big-endian float64.
func (m *machine) float() float64 {
	if b := m.take(8); b != nil {
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (m *machine) line() string {
	n := bytes.IndexByte(m.data[m.pos:], '\n')
	if n < 0 {
		m.fail(array.Truncated, "the pickle ends inside a name")
		return ""
	}
	b := m.take(uint64(n) + 1)
	if m.err != nil {
		return ""
	}
	m.charge(n)
	return string(b[:n])
}

func (m *machine) text(n uint64) {
	b := m.take(n)
	m.charge(len(b))
	if m.err == nil {
		m.push(string(b))
	}
}

// binary shares the bytes with the pickle.
func (m *machine) binary(n uint64) { m.push(m.take(n)) }

// long pushes an integer of n bytes in two's complement. One beyond 64 bits cannot matter here.
func (m *machine) long(n uint64) {
	b := m.take(n)
	switch {
	case len(b) > 8:
		m.push(inert{})
	case len(b) == 0:
		m.push(int64(0))
	default:
		v := uint64(0)
		if b[len(b)-1] >= 0x80 {
			v = math.MaxUint64
		}
		for i := len(b) - 1; i >= 0; i-- {
			v = v<<8 | uint64(b[i])
		}
		m.push(int64(v))
	}
}

// The stack. A value below the last MARK cannot be reached before the MARK is taken off.

func (m *machine) floor() int {
	if n := len(m.marks); n > 0 {
		return m.marks[n-1]
	}
	return 0
}

func (m *machine) push(v any) {
	if len(m.stack) >= maxStack {
		m.fail(array.TooLarge, "more than %d values on the stack", maxStack)
	}
	m.charge(64) // the value, its slot, and their share of slack
	if m.err == nil {
		m.stack = append(m.stack, v)
	}
}

func (m *machine) top() any {
	if len(m.stack) <= m.floor() {
		m.fail(array.Malformed, "the stack is empty")
	}
	if m.err != nil {
		return nil
	}
	return m.stack[len(m.stack)-1]
}

func (m *machine) pop() any {
	v := m.top()
	if m.err == nil {
		m.stack = m.stack[:len(m.stack)-1]
	}
	return v
}

// popMark takes off the values above the last MARK, and the MARK.
func (m *machine) popMark() []any {
	if len(m.marks) == 0 {
		m.fail(array.Malformed, "no mark is open")
	}
	if m.err != nil {
		return nil
	}
	lo := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	items := m.copy(m.stack[lo:])
	m.stack = m.stack[:lo]
	return items
}

func (m *machine) copy(v []any) []any {
	m.charge(16 * len(v))
	if m.err != nil || len(v) == 0 {
		return nil
	}
	return append(make([]any, 0, len(v)), v...)
}

func (m *machine) tuple(n int) {
	if len(m.stack)-m.floor() < n {
		m.fail(array.Malformed, "the stack is empty")
		return
	}
	lo := len(m.stack) - n
	t := tuple(m.copy(m.stack[lo:]))
	m.stack = m.stack[:lo]
	m.push(t)
}

// append adds to the list on top of the stack.
func (m *machine) append(items ...any) {
	l, ok := m.top().(*list)
	if m.err == nil && !ok {
		m.fail(array.Malformed, "APPEND to something that is no list")
	}
	if m.charge(32 * len(items)); m.err == nil {
		l.items = append(l.items, items...)
	}
}

// set adds keys and values, in turn, to the dict on top of the stack.
func (m *machine) set(items []any) {
	d, ok := m.top().(*dict)
	if m.err == nil && !ok {
		m.fail(array.Malformed, "SETITEM of something that is no dict")
	}
	if m.err == nil && len(items)%2 != 0 {
		m.fail(array.Malformed, "a dict key without its value")
	}
	m.charge(32 * len(items))
	for i := 0; m.err == nil && i < len(items); i += 2 {
		d.keys = append(d.keys, items[i])
		d.values = append(d.values, items[i+1])
	}
}

// put remembers the top of the stack. Picklers number from 0 up, each number costing at least a byte.
func (m *machine) put(i uint64) {
	v := m.top()
	if m.err == nil && i >= uint64(len(m.data)) {
		m.fail(array.Malformed, "memo number %d in a pickle of %d bytes", i, len(m.data))
	}
	if n := int(i) + 1 - len(m.memo); m.err == nil && n > 0 {
		if m.charge(32 * n); m.err == nil {
			m.memo = append(m.memo, make([]any, n)...)
			for j := len(m.memo) - n; j < len(m.memo); j++ {
				m.memo[j] = missing{}
			}
		}
	}
	if m.err == nil {
		m.memo[i] = v
	}
}

type missing struct{}

func (m *machine) get(i uint64) {
	if m.err != nil {
		return
	}
	if i < uint64(len(m.memo)) {
		if v := m.memo[i]; v != (missing{}) {
			m.push(v)
			return
		}
	}
	m.fail(array.Malformed, "memo number %d was never set", i)
}
