package train

import (
	"fmt"
	"math"
)

// Schedule says how the learning rate goes, as a factor of Optimizer.LR.
type Schedule struct {
	Name       string  `json:"name" yaml:"name"`                                      // see Schedules
	Factor     float64 `json:"factor" yaml:"factor"`                                  // step, multistep: of the rate at a milestone
	Every      int     `json:"every,omitempty" yaml:"every,omitempty"`                // step: epochs between milestones
	Milestones []int   `json:"milestones,omitempty" yaml:"milestones,omitempty,flow"` // multistep: epochs after which the rate falls; default 1/3 and 2/3 of all
	Floor      float64 `json:"floor,omitempty" yaml:"floor,omitempty"`                // cosine, triangle: the last factor
	Warmup     float64 `json:"warmup,omitempty" yaml:"warmup,omitempty"`              // epochs in which the rate rises linearly, from 0
	Peak       float64 `json:"peak,omitempty" yaml:"peak,omitempty"`                  // triangle: share of the training at which the rate is highest; default 0.3
}

// Schedules are the names: a constant rate; one that falls by a factor every so many epochs (step) or after the milestones
// (multistep); half a cosine (Loshchilov and Hutter 2017, without restarts); a rise and fall along straight lines (triangle, Smith
// 2017). The first three and the cosine change between epochs, as PyTorch's do when they are stepped once an epoch; warm-up and
// triangle change at every step.
func Schedules() []string { return []string{"constant", "step", "multistep", "cosine", "triangle"} }

func (s *Schedule) check(epochs int) error {
	last := 0
	for _, m := range s.Milestones {
		if m <= last {
			return configError("schedule.milestones", "%v, expected epochs that grow, from 1 on", s.Milestones)
		}
		last = m
	}
	for _, f := range []struct {
		key         string
		value, most float64
	}{
		{"factor", s.Factor, 1}, {"floor", s.Floor, 1}, {"warmup", s.Warmup, float64(epochs)}, {"peak", s.Peak, 1}, {"every", float64(s.Every), 1e9},
	} {
		if !(f.value >= 0 && f.value <= f.most) {
			return configError("schedule."+f.key, "%v, expected 0 to %v", f.value, f.most)
		}
	}
	switch {
	case s.Name == "step" && s.Every < 1:
		return configError("schedule.every", "%d, expected the epochs between two steps", s.Every)
	case s.Name != "multistep" && s.Milestones != nil:
		return configError("schedule.milestones", "%v: they belong to multistep, the schedule is %s", s.Milestones, s.Name)
	case s.Name != "step" && s.Every != 0:
		return configError("schedule.every", "%d: it belongs to step, the schedule is %s", s.Every, s.Name)
	}
	return nil
}

// milestones are those of multistep.
func (s *Schedule) milestones(epochs int) []int {
	if s.Milestones != nil {
		return s.Milestones
	}
	return []int{epochs / 3, 2 * epochs / 3}
}

// Rate is the factor of the learning rate in step number batch of batches of an epoch (from 0) of epochs.
func (s *Schedule) Rate(epoch, epochs, batch, batches int) float64 {
	progress := float64(epoch) + (float64(batch)+1)/float64(batches) // epochs done after this step
	if progress < s.Warmup {
		return progress / s.Warmup
	}
	switch s.Name {
	case "step":
		return math.Pow(s.Factor, float64(epoch/s.Every))
	case "multistep":
		rate := 1.0
		for _, m := range s.milestones(epochs) {
			if m > 0 && epoch >= m {
				rate *= s.Factor
			}
		}
		return rate
	case "cosine":
		return s.Floor + (1-s.Floor)*(1+math.Cos(math.Pi*float64(epoch)/float64(epochs)))/2
	case "triangle":
		peak := s.Peak
		if peak == 0 {
			peak = 0.3
		}
		at := progress / float64(epochs)
		if at < peak {
			return s.Floor + (1-s.Floor)*at/peak
		}
		return s.Floor + (1-s.Floor)*(1-at)/(1-peak)
	}
	return 1
}

func (s *Schedule) String() string {
	if s.Warmup > 0 {
		return fmt.Sprintf("%s after a warm-up of %g epochs", s.Name, s.Warmup)
	}
	return s.Name
}
