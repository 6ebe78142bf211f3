package array

// Values is an array in memory, in C order. A DType left Invalid in info is that of the slice.
func Values[T float32 | float64 | int64](info Info, v []T) Array {
	if info.DType == Invalid {
		switch any(v).(type) {
		case []float32:
			info.DType = Float32
		case []float64:
			info.DType = Float64
		case []int64:
			info.DType = Int64
		}
	}
	return &values[T]{info, v}
}

type values[T float32 | float64 | int64] struct {
	info Info
	v    []T
}

func (a *values[T]) Info() Info   { return a.info }
func (a *values[T]) Random() bool { return true }

func (a *values[T]) Float32s(dst []float32, lo int) error { return pick(a.info, dst, a.v, lo) }
func (a *values[T]) Float64s(dst []float64, lo int) error { return pick(a.info, dst, a.v, lo) }

func (a *values[T]) Int64s(dst []int64, lo int) error {
	if err := a.info.check(len(dst), lo); err != nil {
		return err
	}
	if v, ok := any(a.v).([]int64); ok {
		return pick(a.info, dst, v, lo)
	}
	w := a.info.Width()
	for i, v := range a.v[lo*w : lo*w+len(dst)] {
		n, ok := integral(float64(v))
		if !ok {
			one := a.info
			one.DType = Float64
			return one.notInteger(lo, i, rawBytes([]float64{float64(v)}))
		}
		dst[i] = n
	}
	return nil
}

func pick[D, S element](info Info, dst []D, v []S, lo int) error {
	if err := info.check(len(dst), lo); err != nil {
		return err
	}
	at := lo * info.Width()
	convert(dst, v[at:at+len(dst)])
	return nil
}
