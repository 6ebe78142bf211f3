package nn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/collapsar/collapsar/internal/suggest"
)

// ArchitectureOptions are the free choices in the networks of Build. Zero is the default of each.
type ArchitectureOptions struct {
	Input      Shape  // of a sample; always needed
	Classes    int    // outputs of the head; always needed
	Width      int    // of the hidden layers of an MLP (512); channels of the first stage of a VGG or ResNet (64), of a CNN (32, or 16 with linear features)
	Depth      int    // hidden layers of an MLP (2)
	Norm       string // "batch", "group" (of 16 channels, Wu and He 2018; of all where 16 does not divide them) or "none"
	FeatureDim int    // what the head sees: outputs of the last hidden layer, convolution or block, which alone changes
	Head       HeadSpec
}

// A blueprint is one entry of the table of architectures.
type blueprint struct {
	norm  string // default
	head  string // name of the module
	build func(o ArchitectureOptions) []Layer
}

var blueprints = map[string]blueprint{
	"mlp":        {"batch", "fc", mlp},
	"cnn":        {"none", "fc", cnn},
	"cnn_linear": {"batch", "fc", cnnLinear},
	"lenet":      {"none", "fc3", lenet},
	"vgg11":      {"batch", "classifier", vgg(1, 1, 2, 2, 2)},
	"vgg13":      {"batch", "classifier", vgg(2, 2, 2, 2, 2)},
	"vgg16":      {"batch", "classifier", vgg(2, 2, 3, 3, 3)},
	"resnet18":   {"batch", "fc", resnet(basicBlock, 1, 2, 2, 2, 2)},
	"resnet34":   {"batch", "fc", resnet(basicBlock, 1, 3, 4, 6, 3)},
	"resnet50":   {"batch", "fc", resnet(bottleneck, 4, 3, 4, 6, 3)},
}

// Architectures lists the names that Build knows.
func Architectures() []string { return slices.Sorted(maps.Keys(blueprints)) }

// Build describes a network by name:
//
//   - mlp: Depth times dense, batch norm, ReLU, then the head;
//   - cnn: two convolutions 3x3 with Width and 2 Width channels, max pooling, a dense layer of 128;
//   - cnn_linear: two convolutions 5x5 of stride 2 with Width and 2 Width channels, a dense layer of 256 with the norm, and features (32) that
//     no ReLU confines, so that a simplex and the sums of its vectors are within reach;
//   - lenet: LeNet-5 with ReLU and max pooling (LeCun, Bottou, Bengio, Haffner 1998), as the published GeoMNIST runs have it;
//   - vgg11, vgg13, vgg16: Simonyan and Zisserman 2015 with batch norm and one dense layer, as is usual for images of 32 x 32;
//   - resnet18, resnet34, resnet50: He, Zhang, Ren, Sun 2016 with the stem for images of 32 x 32, a convolution 3x3 without pooling.
//
// Every block or hidden layer before the features is a tap. Modules are named as in torchvision, those of mlp,
// cnn and lenet as in testdata/make_fixtures.py. The error says which name is nearest, or which option does not
// fit; whether the input is large enough shows in New.
func Build(name string, o ArchitectureOptions) (Architecture, error) {
	b, ok := blueprints[name]
	if !ok {
		return Architecture{}, fmt.Errorf("nn: no architecture %q%s", name, suggest.Hint(name, Architectures()))
	}
	if o.Classes < 1 {
		return Architecture{}, fmt.Errorf("nn: %s: %d classes", name, o.Classes)
	}
	if o.Width < 0 || o.Depth < 0 || o.FeatureDim < 0 {
		return Architecture{}, fmt.Errorf("nn: %s: width %d, depth %d and feature dimension %d must not be negative", name, o.Width, o.Depth, o.FeatureDim)
	}
	if o.Depth > 0 && name != "mlp" {
		return Architecture{}, fmt.Errorf("nn: %s: depth %d: the name of this architecture says its depth", name, o.Depth)
	}
	if o.Width > 0 && name == "lenet" {
		return Architecture{}, fmt.Errorf("nn: lenet: width %d: this architecture has fixed widths", o.Width)
	}
	if o.Norm == "" {
		o.Norm = b.norm
	}
	if norms := []string{"batch", "group", "none"}; !slices.Contains(norms, o.Norm) {
		return Architecture{}, fmt.Errorf("nn: %s: no normalisation %q, there are %s%s", name, o.Norm, strings.Join(norms, ", "), suggest.Hint(o.Norm, norms))
	}
	before, head, err := o.Head.layers(b.head, o.Classes)
	if err != nil {
		return Architecture{}, fmt.Errorf("nn: %s: %w", name, err)
	}
	return Architecture{Name: name, Input: o.Input, Layers: append(b.build(o), before...), Head: head}, nil
}

func mlp(o ArchitectureOptions) []Layer {
	layers := []Layer{Flatten{}}
	depth, width := or(o.Depth, 2), or(o.Width, 512)
	for i := 1; i <= depth; i++ {
		if i == depth {
			width = or(o.FeatureDim, width)
		}
		name := fmt.Sprintf("l%d", i)
		layers = append(layers, Dense{Name: name, Out: width, Bias: o.Norm == "none"})
		layers = append(layers, o.norm(fmt.Sprintf("b%d", i), width)...)
		layers = append(layers, ReLU{})
		if i < depth {
			layers = append(layers, Mark{name})
		}
	}
	return layers
}

func cnn(o ArchitectureOptions) []Layer {
	width := or(o.Width, 32)
	return slices.Concat(
		o.conv("conv1", "bn1", Conv{Out: width, Kernel: 3, Pad: 1}), []Layer{ReLU{}, Mark{"conv1"}},
		o.conv("conv2", "bn2", Conv{Out: 2 * width, Kernel: 3, Pad: 1}), []Layer{ReLU{}, MaxPool{Kernel: 2}, Mark{"conv2"}},
		[]Layer{Flatten{}, Dense{Name: "fc1", Out: or(o.FeatureDim, 128), Bias: true}, ReLU{}})
}

func cnnLinear(o ArchitectureOptions) []Layer {
	width, hidden := or(o.Width, 16), 256
	return slices.Concat(
		[]Layer{Conv{Name: "conv1", Out: width, Kernel: 5, Stride: 2, Pad: 2, Bias: true}, ReLU{}, Mark{"conv1"}},
		[]Layer{Conv{Name: "conv2", Out: 2 * width, Kernel: 5, Stride: 2, Pad: 2, Bias: true}, ReLU{}, Mark{"conv2"}},
		[]Layer{Flatten{}, Dense{Name: "fc1", Out: hidden, Bias: true}}, o.norm("bn1", hidden), []Layer{ReLU{}, Mark{"fc1"}},
		[]Layer{Dense{Name: "fc2", Out: or(o.FeatureDim, 32), Bias: true}})
}

func lenet(o ArchitectureOptions) []Layer {
	return slices.Concat(
		o.conv("conv1", "bn1", Conv{Out: 6, Kernel: 5}), []Layer{ReLU{}, MaxPool{Kernel: 2}, Mark{"conv1"}},
		o.conv("conv2", "bn2", Conv{Out: 16, Kernel: 5}), []Layer{ReLU{}, MaxPool{Kernel: 2}, Mark{"conv2"}},
		[]Layer{Flatten{}, Dense{Name: "fc1", Out: 120, Bias: true}, ReLU{}, Mark{"fc1"}},
		[]Layer{Dense{Name: "fc2", Out: or(o.FeatureDim, 84), Bias: true}, ReLU{}})
}

// vgg has five stages of so many convolutions, each ended by pooling; the channels double up to eight times the first.
func vgg(convolutions ...int) func(ArchitectureOptions) []Layer {
	return func(o ArchitectureOptions) []Layer {
		var layers []Layer
		module := 0 // torchvision numbers everything within "features"
		for stage, n := range convolutions {
			out := or(o.Width, 64) * min(1<<stage, 8)
			for i := range n {
				if stage == len(convolutions)-1 && i == n-1 {
					out = or(o.FeatureDim, out)
				}
				c := Conv{Out: out, Kernel: 3, Pad: 1, Bias: true}
				layers = append(layers, o.conv(fmt.Sprintf("features.%d", module), fmt.Sprintf("features.%d", module+1), c)...)
				layers = append(layers, ReLU{})
				module += 3
				if o.Norm == "none" {
					module--
				}
			}
			layers = append(layers, MaxPool{Kernel: 2}, Mark{fmt.Sprintf("features.%d", module)})
			module++
		}
		return append(layers, GlobalAveragePool{})
	}
}

// A block is a residual block: its inner width, its outputs, and the stride of its first convolution of 3x3.
type block func(o ArchitectureOptions, name string, width, out, stride int) []Layer

func basicBlock(o ArchitectureOptions, name string, width, out, stride int) []Layer {
	return slices.Concat(
		o.conv(name+".conv1", name+".bn1", Conv{Out: width, Kernel: 3, Pad: 1, Stride: stride}), []Layer{ReLU{}},
		o.conv(name+".conv2", name+".bn2", Conv{Out: out, Kernel: 3, Pad: 1}))
}

func bottleneck(o ArchitectureOptions, name string, width, out, stride int) []Layer {
	return slices.Concat(
		o.conv(name+".conv1", name+".bn1", Conv{Out: width, Kernel: 1}), []Layer{ReLU{}},
		o.conv(name+".conv2", name+".bn2", Conv{Out: width, Kernel: 3, Pad: 1, Stride: stride}), []Layer{ReLU{}},
		o.conv(name+".conv3", name+".bn3", Conv{Out: out, Kernel: 1}))
}

// resnet has four stages of so many blocks, whose outputs have expansion times the inner width. The shortcut of
// a block that changes the shape is a convolution 1x1.
func resnet(body block, expansion int, blocks ...int) func(ArchitectureOptions) []Layer {
	return func(o ArchitectureOptions) []Layer {
		in := or(o.Width, 64)
		layers := append(o.conv("conv1", "bn1", Conv{Out: in, Kernel: 3, Pad: 1}), ReLU{}, Mark{"conv1"})
		for stage, n := range blocks {
			width := or(o.Width, 64) << stage
			out := width * expansion
			for i := range n {
				if stage == len(blocks)-1 && i == n-1 {
					out = or(o.FeatureDim, out)
				}
				stride := 1
				if i == 0 && stage > 0 {
					stride = 2
				}
				name := fmt.Sprintf("layer%d.%d", stage+1, i)
				var shortcut []Layer
				if in != out || stride != 1 {
					shortcut = o.conv(name+".downsample.0", name+".downsample.1", Conv{Out: out, Kernel: 1, Stride: stride})
				}
				layers = append(layers, Residual{Body: body(o, name, width, out, stride), Shortcut: shortcut}, ReLU{}, Mark{name})
				in = out
			}
		}
		return append(layers, GlobalAveragePool{})
	}
}

// conv is a convolution with the chosen normalisation; without any it has a bias.
func (o ArchitectureOptions) conv(name, norm string, c Conv) []Layer {
	c.Name = name
	c.Bias = c.Bias || o.Norm == "none"
	return append([]Layer{c}, o.norm(norm, c.Out)...)
}

func (o ArchitectureOptions) norm(name string, channels int) []Layer {
	switch o.Norm {
	case "batch":
		return []Layer{BatchNorm{Name: name}}
	case "group":
		groups := 1
		if channels%16 == 0 {
			groups = channels / 16
		}
		return []Layer{GroupNorm{Name: name, Groups: groups}}
	}
	return nil
}

// or is v, or the default if v is 0.
func or(v, preset int) int {
	if v == 0 {
		return preset
	}
	return v
}
