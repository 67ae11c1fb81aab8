//! The knobs of sampling and their ranges.

use crate::OptionError;

/// How a token is chosen. The default is greedy and changes no logit: the same input gives the same reply.
///
/// ```
/// use kinglet_generate::SamplingOptions;
/// let options = SamplingOptions::default();
/// assert_eq!((options.temperature, options.top_k, options.top_p, options.min_p), (0.0, 0, 1.0, 0.0));
/// assert_eq!((options.repetition_penalty, options.presence_penalty, options.frequency_penalty), (1.0, 0.0, 0.0));
/// assert_eq!(options.seed, None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// Divides the logits: below 1 sharpens, above 1 flattens, 0 takes the most likely token (the lowest id of equals).
    pub temperature: f32,
    /// Keep the `top_k` most likely tokens and all that equal the last of them; 0 keeps all.
    pub top_k: usize,
    /// Keep the fewest most likely tokens whose probabilities reach this sum; 1 keeps all, 0 the first.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of all tokens of prompt and reply; 1 changes nothing.
    /// As in CTRL (Keskar and others, 2019) and transformers.
    pub repetition_penalty: f32,
    /// Taken from the logit of each token that the reply holds. As OpenAI defines it: the prompt does not count.
    pub presence_penalty: f32,
    /// Taken from the logit of a token once for each time the reply holds it. As OpenAI defines it.
    pub frequency_penalty: f32,
    /// The same seed and input give the same tokens, whatever the number of threads; `None` draws a seed, which the
    /// [`Outcome`](crate::Outcome) then names.
    pub seed: Option<u64>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: None,
        }
    }
}

/// The value that a filter may have at temperature 0.
const ONLY_RANDOM: &str = "left out at temperature 0, which takes the likeliest token; set a temperature above 0 for it";

impl SamplingOptions {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field out of its range, with the range: `temperature` 0 to 100, `top_p` and `min_p` 0 to 1,
    /// `repetition_penalty` above 0 and at most 100, the other penalties -100 to 100. NaN is in no range. Filters at temperature 0 are
    /// refused, since they would be without effect: the likeliest token is taken.
    pub fn validate(&self) -> Result<(), OptionError> {
        let ranged = [
            ("temperature", self.temperature, 0.0, 100.0, "from 0 (greedy) to 100"),
            ("top_p", self.top_p, 0.0, 1.0, "from 0 to 1"),
            ("min_p", self.min_p, 0.0, 1.0, "from 0 to 1"),
            ("repetition_penalty", self.repetition_penalty, f32::MIN_POSITIVE, 100.0, "above 0 and at most 100"),
            ("presence_penalty", self.presence_penalty, -100.0, 100.0, "from -100 to 100"),
            ("frequency_penalty", self.frequency_penalty, -100.0, 100.0, "from -100 to 100"),
        ];
        match ranged.into_iter().find(|(_, value, low, high, _)| !(low..=high).contains(&value)) {
            Some((field, value, _, _, expected)) => Err(OptionError { field, value: value.to_string(), expected }),
            None => self.filters().map_or(Ok(()), |(field, value)| Err(OptionError { field, value, expected: ONLY_RANDOM })),
        }
    }

    /// The first filter that is set at temperature 0.
    fn filters(&self) -> Option<(&'static str, String)> {
        let set = [
            ("top_k", self.top_k > 1, self.top_k.to_string()),
            ("top_p", self.top_p < 1.0, self.top_p.to_string()),
            ("min_p", self.min_p > 0.0, self.min_p.to_string()),
        ];
        let first = set.into_iter().filter(|_| self.is_greedy()).find(|(_, set, _)| *set);
        first.map(|(field, _, value)| (field, value))
    }

    /// The same without filters where it is greedy.
    #[must_use]
    pub fn without_idle_filters(self) -> Self {
        let none = Self::default();
        if self.is_greedy() { Self { top_k: none.top_k, top_p: none.top_p, min_p: none.min_p, ..self } } else { self }
    }

    /// Whether the most likely token is always taken.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// Whether tokens that came before are as likely as any.
    pub(crate) fn has_no_penalties(&self) -> bool {
        (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) == (1.0, 0.0, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_beside_temperature_0_are_refused_and_can_be_left_out() {
        let greedy = SamplingOptions::default();
        assert!(greedy.validate().is_ok());
        let filtered = [
            ("top_k", SamplingOptions { top_k: 40, ..greedy.clone() }),
            ("top_p", SamplingOptions { top_p: 0.9, ..greedy.clone() }),
            ("min_p", SamplingOptions { min_p: 0.05, ..greedy.clone() }),
        ];
        for (field, options) in filtered {
            let error = options.validate().unwrap_err();
            assert_eq!(error.field, field);
            assert!(error.to_string().contains("set a temperature above 0"), "{error}");
            assert!(SamplingOptions { temperature: 0.7, ..options.clone() }.validate().is_ok());
            assert_eq!(options.without_idle_filters(), greedy);
        }
        let warm = SamplingOptions { temperature: 0.7, top_p: 0.9, ..greedy };
        assert_eq!(warm.clone().without_idle_filters(), warm);
    }
}
