package dataset

import (
	"math"
	"slices"
	"testing"

	"github.com/collapsar/collapsar/internal/random"
)

// Areas of the shapes before they are turned, at rr = -1, 0, 1: counted by hand or with another program.
func TestFigures(t *testing.T) {
	for class, want := range [][3]int{{230, 230, 230}, {153, 153, 153}, {147, 217, 299}} {
		v := newCanvas(32)
		for i, rr := range []float64{-1, 0, 1} {
			v.raster(class, rr)
			area := 0
			for _, x := range v.a {
				area += int(x)
			}
			if area != want[i] {
				t.Errorf("%s at rr %g covers %d pixels, want %d", figures[class].name, rr, area, want[i])
			}
		}
	}
}

// The recipe with 300 images a class against the numbers of an independent program (SciPy's rotate and gaussian_filter): mean and
// deviation within 0.003 (blur and order are drawn by another generator), and what classifiers make of the pixels.
func TestGeoMNIST(t *testing.T) {
	g := NewGeoMNIST()
	g.Train, g.Test = 300, 0
	set, err := g.Make()
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Check(); err != nil {
		t.Fatal(err)
	}
	d := set.Shape.Size()
	for class, want := range [][2]float64{{0.21358, 0.36480}, {0.14941, 0.31761}, {0.22304, 0.37633}} {
		one, err := set.Keep(class)
		if err != nil {
			t.Fatal(err)
		}
		mean, std := one.Standardisation(false)
		t.Logf("%s: mean %.5f, deviation %.5f, values %.5f to %.5f", set.Classes[class], mean[0], std[0], slices.Min(one.Train.Values), slices.Max(one.Train.Values))
		if math.Abs(mean[0]-want[0]) > 0.003 || math.Abs(std[0]-want[1]) > 0.003 {
			t.Errorf("%s: mean %.5f, deviation %.5f, want %.5f, %.5f", set.Classes[class], mean[0], std[0], want[0], want[1])
		}
	}
	if lo, hi := slices.Min(set.Train.Values), slices.Max(set.Train.Values); lo < -0.0025 || hi > 1.0025 {
		t.Errorf("values from %g to %g, want about -0.0015 to 1.002", lo, hi)
	}

	// Trace of the covariance within classes over that between them.
	means := classMeans(set.Train.Values, set.Train.Labels, d, 3)
	var within, between float64
	for i, c := range set.Train.Labels {
		within += squaredDistance(set.Train.Values[i*d:(i+1)*d], means[c]) / 900
	}
	middle := make([]float64, d)
	for _, m := range means {
		for j, v := range m {
			middle[j] += v / 3
		}
	}
	for _, m := range means {
		for j, v := range m {
			between += (v - middle[j]) * (v - middle[j]) / 3
		}
	}
	t.Logf("ratio of traces %.4f", within/between)
	if ratio := within / between; math.Abs(ratio-8.29) > 0.05 {
		t.Errorf("ratio of traces %.3f, want 8.29", ratio)
	}

	// Half of the rows to learn, half to test. 0.867 is the reference's value for one split; over splits it has a deviation
	// of 0.04, so the mean over 20 of them is compared, within three standard errors.
	var learn, test []float32
	var learnY, testY []int32
	accuracy := 0.0
	const splits = 20
	for split := range uint64(splits) {
		learn, learnY, test, testY = learn[:0], learnY[:0], test[:0], testY[:0]
		for place, i := range random.New(split).Perm(set.Train.Rows) {
			x, c := set.Train.Values[i*d:(i+1)*d], set.Train.Labels[i]
			if place%2 == 0 {
				learn, learnY = append(learn, x...), append(learnY, c)
			} else {
				test, testY = append(test, x...), append(testY, c)
			}
		}
		accuracy += (1 - nearestMeanError(learn, learnY, test, testY, d, 3)) / splits
	}
	t.Logf("nearest class mean %.4f", accuracy)
	if math.Abs(accuracy-0.867) > 0.03 {
		t.Errorf("nearest class mean is right on %.3f, want 0.867", accuracy)
	}
	if a := ridgeAccuracy(learn, learnY, test, testY, d, 3); a != 1 {
		t.Errorf("a ridge classifier is right on %.4f, want 1", a)
	}
}

// Whole turns leave an image as it is, a quarter of a turn moves its pixels: the splines go through them.
func TestTurn(t *testing.T) {
	for _, size := range []int{8, 31, 32} {
		v := newCanvas(size)
		v.raster(0, 0.3)
		before := slices.Clone(v.a)
		v.turn(0)
		for i, x := range v.a {
			if math.Abs(x-before[i]) > 1e-12 {
				t.Fatalf("size %d: pixel %d is %g after no turn, want %g", size, i, x, before[i])
			}
		}
		copy(v.a, before)
		v.turn(math.Pi / 2)
		for r := range size {
			for q := range size {
				// output(r, q) = input(middle + (q - middle), middle - (r - middle))
				if x, want := v.a[r*size+q], before[q*size+size-1-r]; math.Abs(x-want) > 1e-9 && r > 0 && q > 0 && r < size-1 && q < size-1 {
					t.Fatalf("size %d: pixel %d, %d is %g after a quarter turn, want %g", size, r, q, x, want)
				}
			}
		}
	}
}

func TestGeoMNISTSeeds(t *testing.T) {
	make := func(source string) *Set {
		t.Helper()
		set, err := Open(source, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	a := make("geomnist:train=5,test=3,classes=10,size=20,noise=0.1,seed=4")
	if a.Hash() != make("geomnist:seed=4,noise=0.1,size=20,classes=10,test=3,train=5").Hash() {
		t.Error("the same parameters give other data")
	}
	if a.Hash() == make("geomnist:train=5,test=3,classes=10,size=20,noise=0.1,seed=5").Hash() {
		t.Error("another seed gives the same data")
	}
	if a.Train.Rows != 50 || a.Test.Rows != 30 || a.Shape != (Shape{20, 20, 1}) || len(a.Classes) != 10 {
		t.Errorf("%d and %d rows of %s in %d classes", a.Train.Rows, a.Test.Rows, a.Shape, len(a.Classes))
	}
	// Noise of deviation 0.1 in 20,000 pixels that are otherwise the same.
	quiet := make("geomnist:train=5,test=3,classes=10,size=20,seed=4")
	sum := 0.0
	for i, v := range a.Train.Values {
		d := float64(v - quiet.Train.Values[i])
		sum += d * d
	}
	if sd := math.Sqrt(sum / float64(len(a.Train.Values))); math.Abs(sd-0.1) > 0.0025 { // five standard errors
		t.Errorf("noise of deviation %g, want 0.1", sd)
	}
	for text, want := range map[string]string{
		"geomnist:trian=5":    `geomnist: unknown parameter "trian", expected size, classes, train, test, noise, seed; did you mean train?`,
		"geomnist:train=five": `geomnist: train="five" is no number`,
		"geomnist:classes=11": `geomnist: 11 classes, expected 1 to 10`,
		"geomnist:noise=NaN":  `geomnist: noise NaN, expected at least 0`,
	} {
		if _, err := Open(text, Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func BenchmarkGeoMNIST(b *testing.B) {
	for b.Loop() {
		if _, err := NewGeoMNIST().Make(); err != nil {
			b.Fatal(err)
		}
	}
}
