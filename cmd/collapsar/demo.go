package main

import (
	"github.com/collapsar/collapsar/train"
	"github.com/spf13/cobra"
)

// demoConfig is a convolutional network on GeoMNIST that collapses in all four properties: its features are not confined by a ReLU,
// and what decays are the features and the classifier, as in the unconstrained features model.
func demoConfig() train.Config {
	c := train.Default()
	decay := 4e-2
	c.Data.Source = "geomnist:train=160,test=40"
	c.Model.Name = "cnn_linear"
	c.Loss.FeatureDecay = decay
	c.Optimizer.LR, c.Optimizer.WeightDecay, c.Optimizer.ClassifierDecay = 0.05, 0, &decay
	c.Schedule.Name, c.Schedule.Floor = "cosine", 0.01
	c.Epochs, c.Batch = 60, 32
	return c
}

func newDemo(u *ui) *cobra.Command {
	var out string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See neural collapse happen, in less than a minute",
		Long: `Demo trains a small convolutional network on images of triangles, rectangles and
ellipses that it makes itself (GeoMNIST), goes on past zero training error,
measures the collapse of every layer on the way and judges it.

It is collapsar train with a configuration of its own, which --out keeps.`,
		Example: `  collapsar demo
  collapsar demo --out runs/demo`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := demoConfig()
			c.Seeds = train.Seeds{seed}
			o := train.Options{Dir: out, Version: versionText()}
			result, err := runTraining(cmd.Context(), u, c, o)
			if err != nil {
				return err
			}
			return writeTraining(u, result)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&out, "out", "", "keep the run in this `folder`")
	f.Uint64Var(&seed, "seed", 0, "of the run: another one is another training")
	cmd.MarkFlagDirname("out")
	return cmd
}
