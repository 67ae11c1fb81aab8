//! Intermediate values of a step: those that an engine computes on the way to the logits.

/// A value of the graph, as an engine computed it in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedValue {
    /// The graph's node, as errors name it.
    pub node: String,
    /// The value's name in the graph.
    pub value: String,
    /// `[rows of the step, width]`.
    pub elements: Vec<f32>,
}
