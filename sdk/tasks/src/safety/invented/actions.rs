//! What a reply says to be done.

use super::said::Said;
use super::sentences::{Clause, INTERJECTIONS, Sentence, holds};
use super::{claims, verbs};

/// Words between a subject and its verb.
const ADVERBS: &str = "just already also now finally only really definitely totally actually even still both all recently then \
                       so once always currently officially successfully be been being got get";
/// Words after which a clause tells no fact: conditions, hopes, guesses and what is felt about something.
const HEDGES: &str = "if when whenever once until till unless before whether hope hopes hoping hopefully wish think thought guess \
                      believe bet glad happy pleased delighted sad suppose maybe perhaps probably would could should might may \
                      imagine wonder assume make check will not never to what how why who where which like as sure love proud \
                      for no nothing nobody none can know enjoy tell keep keeping";
/// Subjects of which a past verb tells what the conversation must know. `you` and `that` are not among them: what the
/// other side did is theirs to know, and `that made me laugh` is a feeling; but see [`is_transacted`].
const SUBJECTS: &str = "i we he she it they someone somebody everyone everybody";
/// Begins a noun that may be the subject.
const DETERMINERS: &str = "my your our the his her their this another";
/// Words at the beginning of a clause that are no subject of which a deed is told.
const NO_NOUNS: &str = "that this there here what who how where when why which these those not as is are do did have has hope glad nobody none nothing";
/// Participles that tell a feeling or a quality and not that something was done.
const QUALITIES: &str = "tired excited interested worried pleased delighted thrilled welcomed needed loved appreciated missed scared \
                         bored confused supposed used based gifted talented involved allowed married prepared overwhelmed \
                         impressed touched honoured honored relieved disappointed surprised shocked flattered annoyed embarrassed \
                         screwed wasted blessed obsessed stressed exhausted concerned known supported expected required limited \
                         deserved valued crowded complicated relaxed amazed addicted spoiled spoilt wicked made meant put set cut let \
                         hurt felt heard thought seen beat beaten left run come read unexpected underrated overrated cursed \
                         appreciate amused recommended preferred";
/// Verbs whose participle alone is a report: `Done!`, `Sent it.`
const REPORTED: &str = "do send book pay order buy sort fix call email finish reserve cancel refund arrive land leave find pick drop \
                        deliver ship submit upload share update schedule complete wash clean feed lock post print text bring add \
                        remove change check move tell ask collect grab transfer replace return resend make go rebook message attach forward";
/// What one may have got or seen of the conversation itself.
const MESSAGES: &str = "message messages text email mail note this that it you news ur your";

/// Whether a sentence says that something was done which the conversation does not hold, or claims a state of the world.
pub(super) fn are_invented(sentence: &Sentence, said: &Said) -> bool {
    let told = sentence.clauses.iter().filter(|clause| !clause.asks);
    told.into_iter().any(|clause| tells_deed(clause, said) || reports(clause, said) || claims::are_invented(clause, said))
}

/// Whether a hedge stands among the words before a claim.
pub(super) fn is_hedged(before: &[String]) -> bool {
    before.iter().skip_while(|word| holds(INTERJECTIONS, word)).any(|word| holds(HEDGES, word))
}

/// `I have sent it`, `she called the doctor`, `your table is booked`.
fn tells_deed(clause: &Clause, said: &Said) -> bool {
    let words = &clause.words;
    (0..words.len()).any(|at| {
        let Some((subject, next)) = subject(words, at) else { return false };
        !is_hedged(&words[..at]) && verb_of(subject, &words[next..]).is_some_and(|verb| !said.done(&verb))
    })
}

/// The subject that begins at a word, and where the words after it begin.
fn subject(words: &[String], at: usize) -> Option<(&str, usize)> {
    let word = words[at].as_str();
    if holds(SUBJECTS, word) || holds("you that this", word) {
        return Some((word, at + 1));
    }
    if !holds(DETERMINERS, word) {
        // `Order 12 has been shipped`, at the beginning alone.
        let is_bare =
            words[..at].iter().all(|before| holds(INTERJECTIONS, before)) && !holds(NO_NOUNS, word) && !holds(HEDGES, word);
        let verb = (at + 1..words.len().min(at + 3)).find(|i| holds("is are was were has have", &words[*i]));
        return verb.filter(|_| is_bare).map(|verb| (word, verb));
    }
    // The noun may have a word or two before it: `your oat latte is ready`.
    let verb = (at + 2..words.len().min(at + 5))
        .find(|i| holds("is are was were has have had", &words[*i]) || i - at == 2 && !verbs::past(&words[*i]).is_empty())?;
    Some((word, verb))
}

/// The lemmas of the verb by which a subject is said to have done something, or something to be done with it.
fn verb_of(subject: &str, after: &[String]) -> Option<Vec<String>> {
    let aux = after.first().map_or("", String::as_str);
    let mut at = usize::from(holds("is are was were am has have had", aux));
    let (mut been, mut just) = (false, false);
    while after.get(at).is_some_and(|word| {
        (is_adverb(word) || word == "never" && !holds("i we you", subject))
            && !(word == "got" && aux != "is" && aux != "are" && aux != "was")
    }) {
        been |= holds("be been being", &after[at]);
        just |= holds("just already finally", &after[at]);
        at += 1;
    }
    let word = after.get(at)?;
    let lemmas = verbs::past(word);
    if lemmas.is_empty() || verbs::are_inward(&lemmas) {
        return None;
    }
    let is_told = match holds("is are was were am", aux) || been {
        true => is_transacted(subject, &lemmas) && (!holds(QUALITIES, word) || been && word == "made"),
        false => !holds("you that this", subject) && !is_idle(subject, aux, just, &after[at..]),
    };
    is_told.then_some(lemmas)
}

/// Whether what was done to a subject is news to it: `you have been charged`, not `I was told`.
fn is_transacted(subject: &str, lemmas: &[String]) -> bool {
    let is_one_of = |list: &str| lemmas.iter().any(|lemma| holds(list, lemma));
    match subject {
        "i" => false,
        "we" => is_one_of("book open close ship sell"),
        "you" | "that" | "this" => {
            is_one_of("book charge refund confirm register schedule check invite approve enrol sign enter upgrade")
        }
        _ => true,
    }
}

/// Whether the past form that `verb` begins with tells no deed here: `I got it`, `it made me laugh`.
fn is_idle(subject: &str, aux: &str, just: bool, verb: &[String]) -> bool {
    let [word, rest @ ..] = verb else { return true };
    let follows = |list: &str| rest.first().is_some_and(|next| holds(list, next));
    let holds_one_of = |list: &str| rest.iter().any(|word| holds(list, word));
    match word.as_str() {
        // `I have got a cold`, `I got it`, `I got your message`.
        "got" | "gotten" => holds("has have had", aux) || follows("it you this that to your ur u") || follows(MESSAGES),
        "received" | "saw" | "seen" => follows(MESSAGES) || holds_one_of("message messages email text"),
        "done" | "did" => !follows("it that this the all everything my your some"),
        // One form for now and then.
        "read" | "put" | "cut" | "set" | "shut" | "hit" | "beat" => {
            !(holds("has have", aux) || just || follows("it them the your my some that everything all"))
        }
        "ran" | "run" => follows("late"),
        "made" => holds_one_of("me us day laugh smile cry happy mistake week"),
        "lost" => follows("track"),
        "found" => holds_one_of("funny hard interesting helpful useful amazing boring"),
        "come" | "become" => !holds("has have", aux),
        "played" | "looked" | "seemed" | "deserved" | "worked" | "helped" => !holds("i we", subject),
        _ => false,
    }
}

/// A word that may stand between a subject and its verb.
fn is_adverb(word: &str) -> bool {
    holds(ADVERBS, word) || word.ends_with("ly") && !holds("reply apply supply comply rely multiply", word)
}

/// `Done!`, `just sent it`, `all booked`.
fn reports(clause: &Clause, said: &Said) -> bool {
    let is_lead = |word: &String| holds(INTERJECTIONS, word) || holds("all just already now finally it that is everything", word);
    let led = clause.words.iter().take_while(|word| is_lead(word)).count();
    // `Well done`, `of course done` and the like praise.
    let praises = led > 0 && holds("well nice great", &clause.words[led - 1]);
    let Some(word) = clause.words.get(led).filter(|_| !praises) else { return false };
    let next = clause.words.get(led + 1).map_or("", String::as_str);
    let just = clause.words[..led].iter().any(|word| holds("just already finally", word));
    let lemmas = verbs::past(word);
    let is_report = lemmas.iter().any(|lemma| holds(REPORTED, lemma));
    let got = word == "got"
        && holds("the a some your my them two three both all", next)
        && !clause.words.iter().any(|w| holds(MESSAGES, w) && w != "your");
    let told = is_report && !holds("made left asked moved", word) && !holds("by at to from in with not you", next)
        || got
        || just && !lemmas.is_empty() && !verbs::are_inward(&lemmas) && !holds(MESSAGES, next);
    told && !said.done(&lemmas)
}
