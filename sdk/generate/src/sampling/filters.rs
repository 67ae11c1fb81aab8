//! Which tokens may be drawn. Tokens are ranked by score, highest first, equals by ascending id; each filter keeps a
//! prefix of this ranking, so together they keep the shortest of the prefixes.

use super::SamplingOptions;
use kinglet_engine::TokenId;
use std::cmp::Ordering;

/// Where a prefix of the ranking ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// Tokens with a lower score are out.
    score: f32,
    /// So are tokens with this very score and a higher id.
    last_id: TokenId,
}

impl Cut {
    fn keeps(self, score: f32, id: TokenId) -> bool {
        score > self.score || (score == self.score && id <= self.last_id)
    }
}

/// Unnormalised probabilities: `exp((score - best) / temperature)`, so the best token has weight 1 and nothing overflows.
#[derive(Clone, Copy)]
struct Weights {
    best: f64,
    temperature: f64,
}

impl Weights {
    fn of(self, score: f32) -> f64 {
        ((f64::from(score) - self.best) / self.temperature).exp()
    }
}

/// The tokens that may be drawn by `options` and their weights, in ascending order of id; the weight of the best is 1.
/// `scores`: `[vocab]`, finite or negative infinity, finite at least once; the temperature is above 0.
pub(super) fn drawable(scores: &[f32], options: &SamplingOptions) -> Vec<(TokenId, f64)> {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = Weights { best: f64::from(best), temperature: f64::from(options.temperature) };
    let cut = nucleus(scores, weights, top_k_floor(scores, options.top_k), f64::from(options.top_p));
    let min_p = f64::from(options.min_p);
    scores
        .iter()
        .zip(0..)
        .filter(|&(&score, id)| cut.keeps(score, id))
        .map(|(&score, id)| (id, weights.of(score)))
        .filter(|&(_, weight)| weight > 0.0 && weight >= min_p)
        .collect()
}

/// The `top_k`-th highest score: tokens that equal it stay in, as in transformers.
fn top_k_floor(scores: &[f32], top_k: usize) -> f32 {
    if top_k == 0 || top_k >= scores.len() {
        return f32::NEG_INFINITY;
    }
    largest(scores, top_k).last().map_or(f32::NEG_INFINITY, |&(score, _)| score)
}

/// Ends after the token with which the sum of weights reaches `top_p` of the weight of all tokens with a score of `floor`
/// or more. Looks at ever more of the ranking until the sum is reached: usually a few dozen tokens.
fn nucleus(scores: &[f32], weights: Weights, floor: f32, top_p: f64) -> Cut {
    let all = Cut { score: floor, last_id: TokenId::MAX };
    if top_p >= 1.0 {
        return all;
    }
    let total: f64 = scores.iter().filter(|&&s| s >= floor).map(|&s| weights.of(s)).sum();
    let mut n = 64;
    loop {
        let ranking = largest(scores, n);
        let mut sum = 0.0;
        for &(score, last_id) in ranking.iter().take_while(|(score, _)| *score >= floor) {
            sum += weights.of(score);
            if sum >= top_p * total {
                return Cut { score, last_id };
            }
        }
        if n >= scores.len() || ranking.last().is_some_and(|&(score, _)| score < floor) {
            return all;
        }
        n *= 8;
    }
}

/// The first `n` tokens of the ranking, with their scores. One pass with a buffer of `2 * n` candidates: the vocabulary is
/// never sorted for a small `n`.
pub(crate) fn largest(scores: &[f32], n: usize) -> Vec<(f32, TokenId)> {
    let n = n.min(scores.len());
    if n == 0 {
        return vec![];
    }
    let mut kept: Vec<(f32, TokenId)> = Vec::with_capacity(2 * n);
    let mut beat = None;
    for (&score, id) in scores.iter().zip(0..) {
        // A later token that equals the last one kept ranks behind it.
        if beat.is_some_and(|worst| score <= worst) {
            continue;
        }
        kept.push((score, id));
        if kept.len() == 2 * n {
            kept.select_nth_unstable_by(n - 1, ranked);
            kept.truncate(n);
            beat = Some(kept[n - 1].0);
        }
    }
    kept.sort_unstable_by(ranked);
    kept.truncate(n);
    kept
}

/// A total order; adding zero makes the two zeros one.
fn ranked(a: &(f32, TokenId), b: &(f32, TokenId)) -> Ordering {
    (b.0 + 0.0).total_cmp(&(a.0 + 0.0)).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Scores with many ties and some tokens without probability.
    fn scores() -> impl Strategy<Value = Vec<f32>> {
        let score = prop_oneof![8 => (-40i32..40).prop_map(|i| i as f32 / 8.0), 1 => Just(f32::NEG_INFINITY)];
        prop::collection::vec(score, 1..300).prop_filter("one finite", |s| s.iter().any(|s| s.is_finite()))
    }

    /// The definition, by sorting the whole vocabulary: transformers' warpers, with ties broken by id.
    fn oracle(scores: &[f32], options: &SamplingOptions) -> Vec<(TokenId, f64)> {
        let mut ranking: Vec<(f32, TokenId)> = scores.iter().copied().zip(0..).collect();
        ranking.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        let best = f64::from(ranking[0].0);
        let weight = |s: f32| ((f64::from(s) - best) / f64::from(options.temperature)).exp();
        if options.top_k > 0 {
            let floor = ranking[options.top_k.min(ranking.len()) - 1].0;
            ranking.retain(|(s, _)| *s >= floor);
        }
        let total: f64 = ranking.iter().map(|(s, _)| weight(*s)).sum();
        let mut before = 0.0;
        if options.top_p < 1.0 {
            let mut first = true;
            ranking.retain(|(s, _)| {
                let keep = first || before < f64::from(options.top_p) * total;
                (first, before) = (false, before + weight(*s));
                keep
            });
        }
        let mut out: Vec<_> = ranking.iter().map(|(s, id)| (*id, weight(*s))).collect();
        out.retain(|(_, w)| *w >= f64::from(options.min_p) && *w > 0.0);
        out.sort_by_key(|(id, _)| *id);
        out
    }

    proptest! {
        #[test]
        fn largest_is_the_beginning_of_a_full_sort(scores in scores(), n in 0usize..320) {
            let mut all: Vec<(f32, TokenId)> = scores.iter().copied().zip(0..).collect();
            all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
            all.truncate(n);
            prop_assert_eq!(largest(&scores, n), all);
        }

        #[test]
        fn filters_keep_what_the_definition_keeps(
            scores in scores(),
            temperature in 0.05f32..3.0,
            top_k in 0usize..80,
            // Sums of weights differ in the last bits with the order of addition, so thresholds avoid exact sums.
            top_p in prop_oneof![Just(1.0f32), Just(0.0f32), 0.0123f32..0.997],
            min_p in prop_oneof![Just(0.0f32), 0.00117f32..0.9],
        ) {
            let options = SamplingOptions { temperature, top_k, top_p, min_p, ..Default::default() };
            prop_assert_eq!(drawable(&scores, &options), oracle(&scores, &options));
        }
    }

    #[test]
    fn the_oracle_tells_filters_apart() {
        let scores: Vec<f32> = (0..50).map(|i| i as f32 / 10.0).collect();
        let base = SamplingOptions { temperature: 1.0, top_k: 20, top_p: 0.9, min_p: 0.1, ..Default::default() };
        let expected = drawable(&scores, &base);
        for other in [
            SamplingOptions { top_k: 3, ..base.clone() },
            SamplingOptions { top_p: 0.5, ..base.clone() },
            SamplingOptions { min_p: 0.5, ..base.clone() },
            SamplingOptions { temperature: 0.5, ..base.clone() },
        ] {
            assert_ne!(oracle(&scores, &other), expected, "{other:?}");
        }
    }

    #[test]
    fn a_flat_vocabulary_keeps_ties_at_top_k_and_cuts_them_at_top_p() {
        let flat = vec![1.0; 1000];
        let top_k = SamplingOptions { temperature: 1.0, top_k: 2, ..Default::default() };
        assert_eq!(drawable(&flat, &top_k).len(), 1000);
        let top_p = SamplingOptions { temperature: 1.0, top_p: 0.2495, ..Default::default() };
        assert_eq!(drawable(&flat, &top_p).iter().map(|(id, _)| *id).collect::<Vec<_>>(), (0..250).collect::<Vec<_>>());
    }

    #[test]
    fn the_smallest_temperature_leaves_the_best_token() {
        let options = SamplingOptions { temperature: f32::MIN_POSITIVE, ..Default::default() };
        assert_eq!(drawable(&[1.0, f32::MAX, -f32::MAX], &options), [(1, 1.0)]);
        assert_eq!(drawable(&[1.0, 1.0 + f32::EPSILON], &options), [(1, 1.0)]);
    }
}
