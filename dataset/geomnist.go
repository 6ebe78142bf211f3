package dataset

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/collapsar/collapsar/internal/parallel"
	"github.com/collapsar/collapsar/internal/random"
	"github.com/collapsar/collapsar/internal/suggest"
)

// GeoMNIST is grey images of turned and blurred shapes, made on the fly (Zhang, Wang and Su 2021). NewGeoMNIST has the published
// numbers; image i of the N = Train + Test of a class is as follows, c = Size/2 and u = Size/32.
//
// With rr from -1 to 1, evenly, the shape is drawn without smoothing: class 0 a triangle, class 1 a rectangle of 9 x 17 pixels,
// both moved by rr u in rows and columns, class 2 an ellipse with half axes (6 + rr) u and twice that. It is turned by
// 176 i/N degrees about the middle of the image (cubic splines, 0 outside), and blurred by a Gaussian
// whose deviation is drawn from [0.9 u, 1.1 u] (edges reflected, cut at four deviations). Then the images of a class are
// shuffled, and the first Train of them are training rows. Nothing is clipped: values are from about -0.0015 to 1.002.
//
// Size, more classes (other shapes, moved like the rectangle) and Noise go beyond the publication.
type GeoMNIST struct {
	Size        int     // pixels of a side; 32
	Classes     int     // 1 to 10; 3
	Train, Test int     // images of each class; 240 and 60, one of the published pairs
	Noise       float64 // deviation of Gaussian noise on every pixel; 0
	Seed        uint64  // of blur, order and noise
}

// NewGeoMNIST is the published parameters.
func NewGeoMNIST() GeoMNIST { return GeoMNIST{Size: 32, Classes: 3, Train: 240, Test: 60} }

// ParseGeoMNIST reads "size=28,classes=5,train=500,test=100,noise=0.1,seed=3": any of them, in any order.
func ParseGeoMNIST(text string) (GeoMNIST, error) {
	g := NewGeoMNIST()
	if text == "" {
		return g, nil
	}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		var err error
		switch name {
		case "size":
			g.Size, err = strconv.Atoi(value)
		case "classes":
			g.Classes, err = strconv.Atoi(value)
		case "train":
			g.Train, err = strconv.Atoi(value)
		case "test":
			g.Test, err = strconv.Atoi(value)
		case "noise":
			g.Noise, err = strconv.ParseFloat(value, 64)
		case "seed":
			g.Seed, err = strconv.ParseUint(value, 10, 64)
		default:
			names := []string{"size", "classes", "train", "test", "noise", "seed"}
			return g, fmt.Errorf("geomnist: unknown parameter %q, expected %s%s", name, strings.Join(names, ", "), suggest.Hint(name, names))
		}
		if err != nil {
			return g, fmt.Errorf("geomnist: %s=%q is no number", name, value)
		}
	}
	return g, g.check()
}

func (g GeoMNIST) check() error {
	const most = 1 << 20
	switch {
	case g.Size < 8 || g.Size > 1024:
		return fmt.Errorf("geomnist: size %d, expected 8 to 1024", g.Size)
	case g.Classes < 1 || g.Classes > len(figures):
		return fmt.Errorf("geomnist: %d classes, expected 1 to %d", g.Classes, len(figures))
	case g.Train < 1 || g.Train > most || g.Test < 0 || g.Test > most:
		return fmt.Errorf("geomnist: %d training and %d test images of each class, expected 1 and 0 to %d", g.Train, g.Test, most)
	case !(g.Noise >= 0) || math.IsInf(g.Noise, 1):
		return fmt.Errorf("geomnist: noise %g, expected at least 0", g.Noise)
	case int64(g.Train+g.Test)*int64(g.Classes*g.Size*g.Size*4) > DefaultMemory:
		return fmt.Errorf("geomnist: %d images of %d x %d take more than %d bytes", (g.Train+g.Test)*g.Classes, g.Size, g.Size, int64(DefaultMemory))
	}
	return nil
}

// figures are the shapes. A figure tells whether the pixel at row r and column q is inside; c is the middle, u the unit.
var figures = []struct {
	name   string
	inside func(r, q, c, u, rr float64) bool
}{
	{"triangle", triangle},
	{"rectangle", rectangle},
	{"ellipse", ellipse},
	{"ring", moved(func(y, x float64) bool { d := math.Hypot(y, x); return d >= 5 && d <= 9 })},
	{"cross", moved(func(y, x float64) bool {
		return math.Abs(y) <= 2 && math.Abs(x) <= 10 || math.Abs(x) <= 2 && math.Abs(y) <= 10
	})},
	{"corner", moved(func(y, x float64) bool {
		return math.Abs(y) <= 9 && math.Abs(x) <= 9 && (x <= -4 || y >= 4)
	})},
	{"half disc", moved(func(y, x float64) bool { return y >= 0 && math.Hypot(y, x) <= 10 })},
	{"bars", moved(func(y, x float64) bool { return math.Abs(x) <= 9 && math.Abs(y) >= 3 && math.Abs(y) <= 7 })},
	{"frame", moved(func(y, x float64) bool { d := max(math.Abs(y), math.Abs(x)); return d >= 5 && d <= 8 })},
	{"star", moved(func(y, x float64) bool { return math.Hypot(y, x) <= 6.5+3.5*math.Cos(5*math.Atan2(y, x)) })},
}

// moved is a figure in units about the origin, moved to rr beyond the middle.
func moved(inside func(y, x float64) bool) func(r, q, c, u, rr float64) bool {
	return func(r, q, c, u, rr float64) bool { return inside((r-c)/u-rr, (q-c)/u-rr) }
}

func ellipse(r, q, c, u, rr float64) bool {
	radius := (6 + rr) * u
	y, x := (r-c)/radius, (q-c)/(2*radius)
	return y*y+x*x < 1
}

func rectangle(r, q, c, u, rr float64) bool {
	return r >= math.RoundToEven(c+(rr-4)*u) && r <= math.RoundToEven(c+(rr+4)*u) &&
		q >= math.RoundToEven(c+(rr-8)*u) && q <= math.RoundToEven(c+(rr+8)*u)
}

func triangle(r, q, c, u, rr float64) bool {
	corners := [3][2]float64{{c + rr*u, c + (rr-8*math.Sqrt(3))*u}, {c + (rr+10)*u, c + (rr+8)*u}, {c + (rr-10)*u, c + (rr+8)*u}}
	left, right := true, true // of all sides; within 1e-9 of a side counts as on it
	for i, a := range corners {
		b := corners[(i+1)%3]
		side := (b[0]-a[0])*(q-a[1]) - (b[1]-a[1])*(r-a[0])
		left, right = left && side >= -1e-9, right && side <= 1e-9
	}
	return left || right
}

// Make makes the images. The training rows are sorted by class.
func (g GeoMNIST) Make() (*Set, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	n, size := g.Train+g.Test, g.Size*g.Size
	set := &Set{Name: "geomnist", Shape: Shape{g.Size, g.Size, 1}}
	set.Train = Split{Rows: g.Classes * g.Train, Values: make([]float32, g.Classes*g.Train*size), Labels: make([]int32, g.Classes*g.Train)}
	set.Test = Split{Rows: g.Classes * g.Test, Values: make([]float32, g.Classes*g.Test*size), Labels: make([]int32, g.Classes*g.Test)}
	rooms := make([]*canvas, parallel.Workers())
	for class := range g.Classes {
		set.Classes = append(set.Classes, figures[class].name)
		blur, deviations := random.New(g.Seed, streamBlur, uint64(class)), make([]float64, n)
		for i := range deviations {
			deviations[i] = 0.9 + 0.2*blur.Float64()
		}
		place := random.New(g.Seed, streamShuffle, uint64(class)).Perm(n)
		parallel.For(n, func(worker, i int) {
			if rooms[worker] == nil {
				rooms[worker] = newCanvas(g.Size)
			}
			split, row := &set.Train, class*g.Train+place[i]
			if place[i] >= g.Train {
				split, row = &set.Test, class*g.Test+place[i]-g.Train
			}
			image := rooms[worker].draw(class, i, n, deviations[i])
			to := split.Values[row*size : (row+1)*size]
			noise := random.New(g.Seed, streamNoise, uint64(class), uint64(i))
			for j, v := range image {
				if g.Noise > 0 {
					v += g.Noise * noise.NormFloat64()
				}
				to[j] = float32(v)
			}
			split.Labels[row] = int32(class)
		})
	}
	return set, nil
}

// A canvas is room to draw in.
type canvas struct {
	size  int
	a, b  []float64
	gauss []float64
}

func newCanvas(size int) *canvas {
	return &canvas{size: size, a: make([]float64, size*size), b: make([]float64, size*size)}
}

// draw makes image i of n of a class; the result is valid until the next call.
func (v *canvas) draw(class, i, n int, deviation float64) []float64 {
	rr := 0.0
	if n > 1 {
		rr = -1 + 2*float64(i)/float64(n-1)
	}
	unit := float64(v.size) / 32
	v.raster(class, rr)
	v.turn(176 * float64(i) / float64(n) * math.Pi / 180)
	v.blur(deviation * unit)
	return v.a
}

// raster draws the figure into a.
func (v *canvas) raster(class int, rr float64) {
	c, u := float64(v.size)/2, float64(v.size)/32
	for r := range v.size {
		for q := range v.size {
			v.a[r*v.size+q] = 0
			if figures[class].inside(float64(r), float64(q), c, u, rr) {
				v.a[r*v.size+q] = 1
			}
		}
	}
}

// turn turns a about its middle: the value at a place is that of the cubic spline through the pixels at the place it comes
// from, 0 outside (Unser, Aldroubi and Eden 1991).
func (v *canvas) turn(angle float64) {
	n := v.size
	for i := range n {
		spline(v.a[i*n:(i+1)*n], 1, n)
	}
	for i := range n {
		spline(v.a[i:], n, n)
	}
	sin, cos := math.Sincos(angle)
	middle, end := float64(n-1)/2, float64(n-1)
	for r := range n {
		for q := range n {
			dy, dx := float64(r)-middle, float64(q)-middle
			y, x := middle+cos*dy+sin*dx, middle-sin*dy+cos*dx
			sum := 0.0
			if y >= 0 && y <= end && x >= 0 && x <= end {
				top, left := int(y)-1, int(x)-1
				wy, wx := weights(y-math.Floor(y)), weights(x-math.Floor(x))
				for i := range 4 {
					row := v.a[mirror(top+i, n)*n:]
					for j := range 4 {
						sum += wy[i] * wx[j] * row[mirror(left+j, n)]
					}
				}
			}
			v.b[r*n+q] = sum
		}
	}
	v.a, v.b = v.b, v.a
}

// spline turns n values, a stride apart, into the coefficients of the cubic B-spline through them, mirrored at the ends.
func spline(c []float64, stride, n int) {
	pole := math.Sqrt(3) - 2
	at := func(i int) *float64 { return &c[i*stride] }
	near, far := 1.0, math.Pow(pole, float64(2*n-2)) // pole^i, pole^(2n-2-i)
	sum := 0.0
	for i := range n {
		*at(i) *= 6 // (1 - pole)(1 - 1/pole)
		w := near
		if i > 0 && i < n-1 {
			w += far
		}
		sum += w * *at(i)
		near, far = near*pole, far/pole
	}
	*at(0) = sum / (1 - math.Pow(pole, float64(2*n-2)))
	for i := 1; i < n; i++ {
		*at(i) += pole * *at(i - 1)
	}
	*at(n - 1) = pole / (pole*pole - 1) * (*at(n - 1) + pole**at(n - 2))
	for i := n - 2; i >= 0; i-- {
		*at(i) = pole * (*at(i + 1) - *at(i))
	}
}

// weights is the cubic B-spline at 1+t, t, 1-t, 2-t.
func weights(t float64) [4]float64 {
	s := 1 - t
	return [4]float64{s * s * s / 6, 2./3 - t*t*(2-t)/2, 2./3 - s*s*(2-s)/2, t * t * t / 6}
}

// mirror is the index of a line that goes back at its ends without repeating them.
func mirror(i, n int) int {
	if i < 0 {
		return -i
	}
	if i >= n {
		return 2*n - 2 - i
	}
	return i
}

// blur smooths a by a Gaussian, the image reflected at its edges with the edge repeated.
func (v *canvas) blur(deviation float64) {
	n, radius := v.size, int(4*deviation+0.5)
	v.gauss = v.gauss[:0]
	sum := 0.0
	for i := -radius; i <= radius; i++ {
		w := math.Exp(-float64(i*i) / (2 * deviation * deviation))
		v.gauss = append(v.gauss, w)
		sum += w
	}
	smooth := func(dst, src []float64, along, across int) {
		for line := range n {
			for i := range n {
				total := 0.0
				for j, w := range v.gauss {
					total += w * src[line*across+reflect(i+j-radius, n)*along]
				}
				dst[line*across+i*along] = total / sum
			}
		}
	}
	smooth(v.b, v.a, n, 1)
	smooth(v.a, v.b, 1, n)
}

// reflect is the index of a line that goes back at its ends, repeating them.
func reflect(i, n int) int {
	period := 2 * n
	if i %= period; i < 0 {
		i += period
	}
	return min(i, period-1-i)
}
