//! Log-probabilities.

use crate::GenerateError;
use kinglet_engine::TokenId;
use kinglet_kernels::{Isa, maximum, sum_of_exponentials};

/// Refuses logits, `[vocab]`, of which one is NaN or positive infinity.
pub(crate) fn check_logits(logits: &[f32]) -> Result<(), GenerateError> {
    best(logits).map(|_| ())
}

/// The largest of logits that [`check_logits`] accepts.
pub(crate) fn best(logits: &[f32]) -> Result<f32, GenerateError> {
    maximum(Isa::best(), logits).ok_or_else(|| {
        let token = logits.iter().position(|l| l.is_nan() || *l == f32::INFINITY).unwrap_or_default();
        GenerateError::BadLogits { token: token as TokenId, value: logits[token] }
    })
}

/// [`log_sum_exp`] of logits that allow at least one token.
pub(crate) fn log_normaliser(logits: &[f32]) -> Result<f64, GenerateError> {
    let best = best(logits)?;
    if best == f32::NEG_INFINITY { Err(GenerateError::NothingToSample) } else { Ok(around(logits, best)) }
}

/// `ln(sum(exp(logits)))`, `logits` being `[vocab]`: the log-probability of token `t` is `logits[t]` minus this. Computed
/// around the largest logit, so that it does not overflow, to seven digits of the sum; negative infinity if every logit is,
/// NaN if one is NaN.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    if logits.iter().any(|l| l.is_nan()) {
        return f64::NAN;
    }
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if best.is_infinite() { f64::from(best) } else { around(logits, best) }
}

/// [`log_sum_exp`] of logits whose largest is `best`, which is finite.
fn around(logits: &[f32], best: f32) -> f64 {
    f64::from(best) + sum_of_exponentials(Isa::best(), logits, best).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_wherever_the_logits_lie() {
        for shift in [-1e6f32, -1e4, 0.0, 1e4, 1e6] {
            let logits = [shift, shift, f32::NEG_INFINITY, shift];
            let sum: f64 = logits.iter().map(|&l| (f64::from(l) - log_sum_exp(&logits)).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{shift}: {sum}");
        }
        assert_eq!(log_sum_exp(&[f32::MAX, -f32::MAX]), f64::from(f32::MAX));
        let one_and_three = log_sum_exp(&[0.0, (3f32).ln()]);
        assert!((one_and_three - 4f64.ln()).abs() < 1e-7);
    }

    #[test]
    fn degenerate_rows_say_so() {
        assert_eq!(log_sum_exp(&[f32::NEG_INFINITY; 2]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f32::INFINITY, 0.0]), f64::INFINITY);
        assert!(log_sum_exp(&[f32::NAN, 0.0]).is_nan());
    }
}
