//! Whether two ways to compute the same logits agree.

use crate::Logits;
use crate::conformance::likeliest;

/// The largest difference that may come of rounding, as a part of the logits' spread. Weights of four bits meet activations of
/// eight or sixteen, each engine in its own way, and their logits are one to four hundredths apart.
const TOLERANCE: f64 = 0.1;

/// How the logits of one candidate agree with those of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// The difference as a part of the reference's spread, both without their means, which no probability depends on; root mean
    /// squares, of the worst position. Infinite where a logit is no finite number.
    pub relative_difference: f64,
    /// Positions with the same likeliest token.
    pub same_first: usize,
    /// Positions where another token is likeliest that the reference does not hold about as likely.
    pub other_first: usize,
    /// Positions that were compared.
    pub positions: usize,
}

impl Agreement {
    /// Compares logits of the same shape; `None` for those of another.
    pub fn of(reference: &Logits, logits: &Logits) -> Option<Agreement> {
        let vocabulary = reference.vocabulary;
        let shape = |logits: &Logits| (logits.positions, logits.vocabulary, logits.values.len());
        if shape(reference) != shape(logits) || vocabulary == 0 || reference.values.is_empty() {
            return None;
        }
        let mut agreement = Agreement { relative_difference: 0.0, same_first: 0, other_first: 0, positions: 0 };
        for (reference, row) in reference.values.chunks(vocabulary).zip(logits.values.chunks(vocabulary)) {
            agreement.add(reference, row);
        }
        Some(agreement)
    }

    fn add(&mut self, reference: &[f32], row: &[f32]) {
        let spread = spread(reference.iter().map(|logit| f64::from(*logit)));
        let apart = self::spread(reference.iter().zip(row).map(|(a, b)| f64::from(*b) - f64::from(*a)));
        let difference = if apart == 0.0 { 0.0 } else { apart / spread };
        self.relative_difference = self.relative_difference.max(if difference.is_nan() { f64::INFINITY } else { difference });
        let (first, theirs) = (likeliest(reference), likeliest(row));
        self.positions += 1;
        self.same_first += usize::from(first == theirs);
        let below = f64::from(reference[first]) - f64::from(reference[theirs]);
        self.other_first += usize::from(first != theirs && below > TOLERANCE * spread);
    }

    /// Whether the differences may come of rounding.
    pub fn holds(&self) -> bool {
        self.relative_difference <= TOLERANCE && self.other_first == 0
    }
}

/// Whether all logits are finite numbers, and there are any.
pub(super) fn is_sound(logits: &Logits) -> bool {
    !logits.values.is_empty() && logits.values.iter().all(|logit| logit.is_finite())
}

/// The root mean square of values without their mean.
fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(values: Vec<f32>) -> Logits {
        Logits { positions: values.len() / 4, vocabulary: 4, values }
    }

    #[test]
    fn rounding_agrees_and_everything_else_does_not() {
        let reference = [1.0, 5.0, -3.0, 0.5, 9.0, 2.0, 8.98, -4.0];
        struct Case(&'static str, fn(usize, f32) -> f32, bool);
        for Case(what, change, holds) in [
            Case("itself", |_, x| x, true),
            Case("rounded", |i, x| x + if i % 2 == 0 { 0.02 } else { -0.02 }, true),
            Case("shifted, which changes no probability", |_, x| x + 100.0, true),
            Case("another order of almost equal tokens", |i, x| if i == 6 { x + 0.1 } else { x }, true),
            Case("twice as large", |_, x| 2.0 * x, false),
            Case("of the other sign", |_, x| -x, false),
            Case("zero", |_, _| 0.0, false),
            Case("one other token", |i, x| if i == 3 { 6.0 } else { x }, false),
            Case("no number", |i, x| if i == 3 { f32::NAN } else { x }, false),
            Case("infinite", |i, x| if i == 7 { f32::NEG_INFINITY } else { x }, false),
        ] {
            let changed: Vec<f32> = reference.iter().enumerate().map(|(i, x)| change(i, *x)).collect();
            let agreement = Agreement::of(&logits(reference.to_vec()), &logits(changed.clone())).unwrap();
            assert_eq!(agreement.holds(), holds, "{what}: {agreement:?}");
            assert_eq!(is_sound(&logits(changed.clone())), changed.iter().all(|x| x.is_finite()), "{what}");
        }
    }

    #[test]
    fn a_first_token_is_compared_by_itself() {
        let (reference, other) = (logits(vec![9.0, 8.99, -900.0, 900.0]), logits(vec![9.0, 8.99, -900.0, -900.0]));
        let agreement = Agreement::of(&reference, &other).unwrap();
        assert_eq!((agreement.same_first, agreement.other_first, agreement.positions), (0, 1, 1));
        let near = Agreement::of(&logits(vec![1.0, 1.01, 9.0, 9.01]), &logits(vec![1.0, 1.01, 9.01, 9.0])).unwrap();
        assert_eq!((near.same_first, near.other_first, near.holds()), (0, 0, true));
    }

    #[test]
    fn other_shapes_and_nothing_are_not_compared() {
        let one = logits(vec![1.0, 2.0, 3.0, 4.0]);
        for other in [logits(vec![]), logits(vec![0.0; 8]), Logits { vocabulary: 2, positions: 2, ..one.clone() }] {
            assert!(Agreement::of(&one, &other).is_none() && Agreement::of(&other, &one).is_none(), "{other:?}");
        }
        assert!(Agreement::of(&logits(vec![]), &logits(vec![])).is_none());
        let flat = logits(vec![2.0; 4]);
        assert!(Agreement::of(&flat, &flat).unwrap().holds());
        assert!(!Agreement::of(&flat, &one).unwrap().holds());
        assert!(!is_sound(&logits(vec![])));
    }
}
