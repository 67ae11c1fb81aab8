//! Log-probabilities.

use crate::GenerateError;
use kinglet_engine::TokenId;

/// Refuses logits, `[vocab]`, of which one is NaN or positive infinity.
pub(crate) fn check_logits(logits: &[f32]) -> Result<(), GenerateError> {
    match logits.iter().position(|l| l.is_nan() || *l == f32::INFINITY) {
        Some(token) => Err(GenerateError::BadLogits { token: token as TokenId, value: logits[token] }),
        None => Ok(()),
    }
}

/// [`log_sum_exp`] of logits that allow at least one token.
pub(crate) fn log_normaliser(logits: &[f32]) -> Result<f64, GenerateError> {
    check_logits(logits)?;
    let sum = log_sum_exp(logits);
    if sum == f64::NEG_INFINITY { Err(GenerateError::NothingToSample) } else { Ok(sum) }
}

/// `ln(sum(exp(logits)))`, `logits` being `[vocab]`: the log-probability of token `t` is `logits[t]` minus this. Computed in
/// `f64` around the largest logit, so it neither overflows nor loses small terms; negative infinity if every logit is, NaN
/// if one is NaN.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    if logits.iter().any(|l| l.is_nan()) {
        return f64::NAN;
    }
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    if max.is_infinite() {
        return max;
    }
    max + logits.iter().map(|&l| (f64::from(l) - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_wherever_the_logits_lie() {
        for shift in [-1e6f32, -1e4, 0.0, 1e4, 1e6] {
            let logits = [shift, shift, f32::NEG_INFINITY, shift];
            let sum: f64 = logits.iter().map(|&l| (f64::from(l) - log_sum_exp(&logits)).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{shift}: {sum}");
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
