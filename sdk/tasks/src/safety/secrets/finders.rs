//! Finding secrets in text.

use super::checks;
use crate::safety::constant;
use regex::Regex;
use std::sync::LazyLock;

/// What kind of secret was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Card,
    Iban,
    /// A social security number or one named as an account, passport or tax number.
    Identity,
    /// A password, PIN or code, named as such.
    Password,
    /// An access key or other long random word.
    Key,
    Email,
    Phone,
}

impl Kind {
    /// Whether only its digits matter.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Card | Self::Phone)
    }
}

/// A secret as it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) value: String,
}

/// A pattern whose group 1 (or whole match) is a secret of this kind if `check` says so.
struct Finder {
    kind: Kind,
    pattern: Regex,
    check: Check,
}

/// Sees what the pattern matched and the value in it.
type Check = fn(whole: &str, value: &str) -> bool;

static FINDERS: LazyLock<Vec<Finder>> = LazyLock::new(|| {
    let patterns: [(Kind, &str, Check); 13] = [
        (Kind::Card, r"[0-9](?:[ \-.]?[0-9]){12,18}", |_, value| checks::luhn(&digits(value))),
        (Kind::Iban, IBAN, |_, value| checks::iban(&value.replace(' ', ""))),
        (Kind::Identity, r"(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)", |_, _| true),
        (Kind::Identity, IDENTITY, |_, value| digits(value).len() >= 4),
        (Kind::Password, PASSWORD_MARKED, |_, value| is_no_everyday_word(value)),
        (Kind::Password, &[PASSWORD_SAID, QUOTED].concat(), |_, _| true),
        (Kind::Password, &[PASSWORD_SAID, ODD_WORD].concat(), |_, value| is_odd(value)),
        (Kind::Password, &[PASSWORD_SAID, LAST_WORD].concat(), |_, value| is_no_everyday_word(value)),
        (Kind::Password, CODE, is_secret_code),
        (Kind::Key, KEY, |_, _| true),
        (Kind::Key, LONG_WORD, |_, value| value.starts_with("-----BEGIN") || checks::looks_random(value)),
        (Kind::Email, EMAIL, |_, _| true),
        (Kind::Phone, r"(?:\+|\(|(?-u:\b))[0-9][0-9 ().\-]{5,}[0-9](?-u:\b)", |_, value| is_phone(value)),
    ];
    // Constant patterns, all compiled by every test of this file.
    let compile = constant;
    patterns.map(|(kind, pattern, check)| Finder { kind, pattern: compile(pattern), check }).into()
});

const IBAN: &str = r"(?i)(?-u:\b)[a-z]{2}[0-9]{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,4})?(?-u:\b)";

/// Keys by the prefixes that their issuers give them.
const KEY: &str =
    r"(?-u:\b)(?:sk|pk|rk|ghp|gho|ghs|ghu|glpat|github_pat|xox[abprs]|AKIA|ASIA|AIza|eyJ)[_\-A-Za-z0-9][A-Za-z0-9_.\-]{11,}";

const LONG_WORD: &str = r"[A-Za-z0-9_+/=\-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY";

const EMAIL: &str = r"(?i)(?-u:\b)[a-z0-9._%+\-]+@[a-z0-9\-]+(?:\.[a-z0-9\-]+)+(?-u:\b)|(?-u:\b)[a-z0-9._\-]+ (?:at|\(at\)|\[at\]) [a-z0-9\-]+ (?:dot|\(dot\)|\[dot\]) [a-z]{2,}(?-u:\b)";

const IDENTITY: &str = r"(?i)(?-u:\b)(?:ssn|social(?: security)?(?: number| no)?|(?:account|acct|routing|passport|licen[cs]e|member|policy|tax(?: id)?|national insurance|insurance|bank account)(?: number| no\.?| num| #| id)|sort code)(?: is| was|:|=|,| ends? (?:in|with)| ending (?:in|with)| number| #)*\s*([a-z0-9][a-z0-9\-]{3,})";

/// `password: x`: anything that stands there is one, unless it is one of the [`NO_PASSWORDS`].
const PASSWORD_MARKED: &str = r#"(?i)(?-u:\b)(?:pass ?word|pass ?code|pass ?phrase|pass ?key|passwd|pwd|pw|secret(?: key| word)?|api[ _-]?key|access[ _-]?key|token|pin(?: code| number)?)\s*(?:[:=]|->)\s*["'`]?([^\s"'`,]{3,})"#;

/// `password is`, `password for the router was set to`: what follows may be one.
const PASSWORD_SAID: &str = r#"(?i)(?-u:\b)(?:pass ?word|pass ?code|pass ?phrase|passwd|pwd|pw|secret(?: key| word| answer| question answer)|security answer|api[ _-]?key|access[ _-]?key|log ?in|mother'?s maiden name)(?: for [^\s,]+(?: [^\s,]+)?)?(?: is| was| to| as| should be| would be| will be|'s)*(?: now| still| just| currently| set to| called)*\s+["'`]?"#;
/// Everything between quotes ..
const QUOTED: &str = r#"([^"'`]{3,40})["'`]"#;
/// .. a word that looks like a password ..
const ODD_WORD: &str = r#"([^\s"'`,;]{3,})"#;
/// .. or a plain word, which must end its clause.
const LAST_WORD: &str = r#"([^\s"'`,;.!?]{3,})["'`]?(?:[.!?,;]|\s+(?:and|but|so)(?-u:\b)|\s*$)"#;

/// Numbers that are named as codes.
const CODE: &str = r"(?i)(?-u:\b)(?:pin(?: code| number)?|otp|cvv2?|cvc|one[ -]?time (?:pass)?(?:code|word|pin)|pass ?code|(?:\w+ ){0,2}code)(?: (?:i|you|we|they) (?:got|received|sent|have|need|was sent))?(?: (?:from|for|by|on|in) (?:the |my |your )?\w+)?(?:\s+(?:is|was|to|now|still|as|of|number|#)|\s*[:=#\-])*\s+([0-9][0-9 \-]{1,8}[0-9]|[a-z0-9]*[0-9][a-z0-9]*)(?-u:\b)";

/// What makes a code no secret: `zip code 94107`, `error code 404`.
const OPEN_CODES: &str = "zip postal post area promo promotion promotional discount coupon country dial dialing dialling voucher gift error \
    status source qr bar product item sku dress color colour tax swift sort bic exit airport iata icao reason http building fire";

/// Words that follow `password is` and are none.
const NO_PASSWORDS: &str = "not no now the a an my your our his her their its it that this these those there here too to be been being very so \
    really just only still always never also already wrong right correct incorrect invalid valid expired locked unlocked reset changed \
    updated saved stored lost forgotten forgot missing broken blocked disabled enabled required needed protected safe secure strong weak \
    short long case sensitive different same working accepted rejected known unknown empty blank set sent shown hidden visible fine good bad \
    easy hard simple complex stolen leaked compromised hacked temporary new old what which who where when how why and or but if because \
    please again twice soon later today tomorrow email phone account user username number field page screen link option button help issue \
    issues problem problems recovery manager policy change characters digits letters for with from by at in on of as you i we they he she \
    me him them us can could will would should may might must do does did has have had is was are were won't doesn't isn't don't can't \
    requirements something anything everything nothing on off out up back down done about via after before and/or prompt";

/// At least three digits, and no word before `code` that makes it an open one.
fn is_secret_code(whole: &str, value: &str) -> bool {
    let lower = whole.to_lowercase();
    let mut before = lower.split("code").next().unwrap_or_default().split_whitespace();
    digits(value).len() >= 3 && !before.any(|word| OPEN_CODES.split_whitespace().any(|open| open == word))
}

/// All secrets of a text. One value may be found as several kinds.
pub(super) fn find(text: &str) -> impl Iterator<Item = Found> {
    FINDERS.iter().flat_map(move |finder| {
        finder.pattern.captures_iter(text).filter_map(|found| {
            let value = found.get(1).or_else(|| found.get(0)).map_or("", |m| m.as_str());
            let whole = found.get(0).map_or("", |m| m.as_str());
            (finder.check)(whole, value).then(|| Found { kind: finder.kind, value: trimmed(value).to_owned() })
        })
    })
}

/// The digits of each number in a text; single separators inside a number are left out.
pub(super) fn digit_runs(text: &str) -> impl Iterator<Item = String> {
    static RUNS: LazyLock<Regex> = LazyLock::new(|| constant(r"[0-9](?:[ \-.()]{0,2}[0-9])*"));
    RUNS.find_iter(text).map(|run| digits(run.as_str()))
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// A value without the quotes and the punctuation that end its sentence.
fn trimmed(value: &str) -> &str {
    value.trim().trim_end_matches(['.', ',', ';', '?', ')']).trim_matches(['"', '\'', '`'])
}

fn is_no_everyday_word(value: &str) -> bool {
    let word = trimmed(value).trim_end_matches('!');
    !NO_PASSWORDS.split_whitespace().any(|known| known.eq_ignore_ascii_case(word))
}

/// A digit, a symbol or a capital inside a word makes it a password beyond doubt.
fn is_odd(value: &str) -> bool {
    let word = trimmed(value).trim_end_matches('!');
    let odd = |c: char| c.is_numeric() || c.is_uppercase() || (!c.is_alphanumeric() && c != '\'' && c != '-');
    word.chars().count() >= 3 && word.chars().skip(1).any(odd) && word.chars().any(|c| !c.is_uppercase())
}

/// Seven to fifteen digits that are no date, time or list of small numbers.
fn is_phone(text: &str) -> bool {
    static DATE: LazyLock<Regex> = LazyLock::new(|| {
        let date = r"^(?:[0-9]{4}[ .\-][0-9]{1,2}[ .\-][0-9]{1,2}|[0-9]{1,2}[ .\-][0-9]{1,2}[ .\-][0-9]{4}|(?:19|20)[0-9]{2} ?- ?(?:19|20)[0-9]{2})(?: |$)";
        constant(date)
    });
    let groups: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|g| !g.is_empty()).collect();
    let count: usize = groups.iter().map(|g| g.len()).sum();
    let spread = groups.iter().any(|g| g.len() >= 3);
    (7..=15).contains(&count) && spread && !DATE.is_match(text.trim_start_matches(['+', '(']))
}
