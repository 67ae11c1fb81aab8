//! Check digits and the look of random text.

/// The Luhn check of card numbers (ISO/IEC 7812-1, annex B). `digits` are ASCII digits.
pub(super) fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, digit)| match u32::from(digit - b'0') << (i % 2) {
            doubled if doubled > 9 => doubled - 9,
            value => value,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The check of an IBAN without separators (ISO 13616: the remainder by 97 is 1 once the first four characters are moved to
/// the end and letters count from 10).
pub(super) fn iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins_well =
        bytes.len() >= 15 && bytes[..2].iter().all(u8::is_ascii_alphabetic) && bytes[2..4].iter().all(u8::is_ascii_digit);
    begins_well
        && bytes[4..].iter().chain(&bytes[..4]).try_fold(0_u32, |rest, &b| {
            let value = (b as char).to_digit(36)?;
            Some(if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 })
        }) == Some(1)
}

/// Bits of information a character carries, by the counts of the text's own characters.
fn entropy_bits(text: &str) -> f64 {
    let mut counts = [0_usize; 256];
    text.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let total = text.len() as f64;
    counts.iter().filter(|&&n| n > 0).map(|&n| -(n as f64 / total) * (n as f64 / total).log2()).sum()
}

/// Whether a word looks like a key: long, of letters and digits that alternate often, and of many different ones.
pub(super) fn looks_random(word: &str) -> bool {
    let switches = word.as_bytes().windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit()).count();
    word.len() >= 20 && switches >= 4 && entropy_bits(word) > 3.2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luhn_numbers() {
        // Test numbers that card schemes publish, and the same with one digit changed.
        for good in ["4242424242424242", "5555555555554444", "378282246310005", "6011111111111117", "30569309025904"] {
            assert!(luhn(good), "{good}");
            let mut changed = good.to_owned();
            changed.replace_range(3..4, if &good[3..4] == "1" { "2" } else { "1" });
            assert!(!luhn(&changed), "{changed}");
        }
    }

    #[test]
    fn iban_numbers() {
        // Examples of the IBAN registry.
        for good in ["GB29NWBK60161331926819", "DE89370400440532013000", "FR1420041010050500013M02606", "NO9386011117947"] {
            assert!(iban(good), "{good}");
            assert!(!iban(&good.replacen('1', "2", 1)), "{good}");
        }
        assert!(!iban("GB29") && !iban("") && !iban("hello there friend"));
    }

    #[test]
    fn random_words() {
        for random in ["4f9a1c22b7e80d3a6c5e", "Zx81kQp03LmTb7Vw92Rc", "dGhpc0lzMU5vdDJBM1dvcmQ0"] {
            assert!(looks_random(random), "{random}");
        }
        for word in ["antidisestablishmentarianism", "short1a2b", "aaaaaaaaaa1a1a1a1a1a1", "12345678901234567890"] {
            assert!(!looks_random(word), "{word}");
        }
    }
}
