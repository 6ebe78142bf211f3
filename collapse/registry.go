package collapse

// sample is a layer and split with everything the metrics draw on.
type sample struct{}

// registry holds the groups in the order of the tables. To add a metric, add an entry to its group's file.
var registry = []Metric{}
