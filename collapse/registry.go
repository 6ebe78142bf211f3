package collapse

import "slices"

// registry holds the groups in the order of the tables. To add a metric, add an entry to its group.
var registry = slices.Concat(
	grouped(groupVariability, variability),
	grouped(groupMeans, classMeans),
	grouped(groupClassifier, classifierShape),
	grouped("duality (NC3)", duality),
	grouped("decisions (NC4)", decisions),
	grouped("margins", margins),
	grouped("test rows", testRows),
	grouped("spectra and ranks", spectra),
	grouped("imbalance", imbalance),
	grouped("polytopes", polytopes),
	grouped("other indices", indices),
	grouped("squared error", squaredError),
	grouped("push and pull", pushPull),
)

// grouped puts entries under a heading.
func grouped(name string, metrics []Metric) []Metric {
	for i := range metrics {
		metrics[i].under(name)
	}
	return metrics
}

// under puts a metric under a heading.
func (m *Metric) under(name string) {
	m.Group = name
	if m.Ideal == "" {
		m.Ideal = m.ideal.text
	}
}
