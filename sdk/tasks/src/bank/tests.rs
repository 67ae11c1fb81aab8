use super::*;

const BANK: &str =
    "# agree casual\nSure\nAt {time}\n\n# sorry casual\nOh no\n# agree polite\nOf course.\n# sorry polite\nI am sorry.\n";

fn settings() -> BankSettings {
    let json = r#"{"gain": 10, "offset": -5, "threshold": 0.5, "bad_news": ["sorry"], "comforting": ["sorry"], "reluctant": ["sorry"], "bad_news_threshold": 0.5}"#;
    serde_json::from_str(json).unwrap()
}

/// `agree` along the first axis, `sorry` along the second.
fn ready_with(settings: BankSettings) -> ReadyBank {
    let vectors = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, 1.0]].concat();
    ReplyBank::parse(BANK).unwrap().with_vectors(settings, 2, vectors)
}

fn ready() -> ReadyBank {
    ready_with(settings())
}

#[test]
fn replies_of_an_intent_lie_together_and_slots_are_left_out() {
    let bank = ReplyBank::parse(BANK).unwrap();
    assert_eq!(bank.texts().collect::<Vec<_>>(), ["Sure", "Of course.", "Oh no", "I am sorry."]);
    let tones: Vec<Tone> = bank.replies.iter().map(|reply| reply.tone).collect();
    assert_eq!(tones, [Tone::Casual, Tone::Polite, Tone::Casual, Tone::Polite]);
    let intents: Vec<_> = bank.intents.iter().map(|intent| (intent.name.as_str(), intent.replies.clone())).collect();
    assert_eq!(intents, [("agree", 0..2), ("sorry", 2..4)]);
}

#[test]
fn a_bank_that_cannot_be_read_says_where() {
    let error = |text| ReplyBank::parse(text).unwrap_err();
    assert_eq!(error("# agree\nYes"), BankError::Heading { line: 1 });
    assert_eq!(error("# agree rude\nYes"), BankError::Heading { line: 1 });
    assert_eq!(error("\nYes"), BankError::NoHeading { line: 2 });
    assert_eq!(error("# agree casual\n\n"), BankError::Empty);
    assert_eq!(error(""), BankError::Empty);
}

#[test]
fn replies_are_judged_alone_and_by_their_intent() {
    let bank = ready();
    let glad = bank.judge(&[1.0, 0.0], &[]);
    assert!(!glad.is_bad_news);
    assert!(
        glad.replies.iter().zip([5.0, 3.0, -5.0, -5.0]).all(|(found, wanted)| (found - wanted).abs() < 1e-4),
        "{:?}",
        glad.replies
    );
    assert!(glad.intents[0] > 4.0 && glad.intents[1] == -5.0, "{:?}", glad.intents);
    assert!(bank.judge(&[0.0, 1.0], &[]).is_bad_news);
    assert_eq!((bank.nearest(&[0.1, 0.9]), bank.nearest(&[0.9, 0.1])), (1, 0));
    assert!(bank.is_comforting(1) && !bank.is_comforting(0));
    assert!(bank.is_reluctant(1) && !bank.is_reluctant(0));
}

#[test]
fn vectors_come_back_by_their_texts() {
    let rows: [(&str, &[f32]); 2] = [("Sure", &[0.6, 0.8]), ("Oh no", &[-1.0, 0.0])];
    let file = write_vectors(2, rows.into_iter());
    let read = read_vectors(&file, 2, ["Oh no", "Unknown", "Sure"].into_iter()).unwrap();
    assert_eq!(read.len(), 2);
    assert!((read["Sure"][0] - 0.6).abs() < 0.01 && (read["Sure"][1] - 0.8).abs() < 0.01);
    assert_eq!(read["Oh no"], [-1.0, 0.0]);
}

#[test]
fn damaged_files_of_vectors_are_no_files_of_vectors() {
    let file = write_vectors(2, [("Sure", &[0.6f32, 0.8][..])].into_iter());
    let texts = || ["Sure"].into_iter();
    assert!(read_vectors(&file, 3, texts()).is_none());
    assert!((0..file.len()).all(|end| read_vectors(&file[..end], 2, texts()).is_none()));
    assert!(read_vectors(&[file.as_slice(), &[0]].concat(), 2, texts()).is_none());
    let mut many = file;
    many[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(read_vectors(&many, 2, texts()).is_none());
}

#[test]
fn a_bank_of_slots_alone_is_none_and_unknown_intents_are_named() {
    assert_eq!(ReplyBank::parse("# accept casual\nAt {time}\n").unwrap_err(), BankError::Empty);
    let bank = ReplyBank::parse("\u{feff}# accept casual\nYes\n").unwrap();
    let settings = r#"{"gain": 1, "offset": 0, "threshold": 0.5, "bad_news": ["grief"], "reluctant": ["accept"]}"#;
    assert_eq!(bank.unknown_intents(&serde_json::from_str(settings).unwrap()), ["grief"]);
}

#[test]
fn probabilities_of_logits() {
    assert_eq!(probability(0.0), 0.5);
    assert!(probability(20.0) > 0.999 && probability(-200.0) < 1e-6);
}

#[test]
fn words_are_blended_with_what_the_network_says() {
    let table =
        || Some(Arc::new(NgramClassifier::read(classifier::tests::file(0.5, [1.0, 0.0, 2.0, 4.0], [0.25, -1.0])).unwrap()));
    let talk = ["see you there".to_owned()];
    let unblended = ready().with_words(table()).judge(&[1.0, 0.0], &talk);
    assert_eq!(unblended.intents, ready().judge(&[1.0, 0.0], &talk).intents, "the settings do not say how");
    let mut bank = ready();
    bank.settings.blend = Some(Blend { network: 0.5, words: 2.0, offset: 1.0 });
    let (alone, blended) =
        (bank.judge(&[1.0, 0.0], &talk), ready_with(bank.settings.clone()).with_words(table()).judge(&[1.0, 0.0], &talk));
    let expected = [0.5 * alone.intents[0] + 2.0 * 0.75 + 1.0, 0.5 * alone.intents[1] + 2.0 * -6.0 + 1.0];
    let near = |a: f32, b: f32| (a - b).abs() < 1e-3;
    assert!(blended.intents.iter().zip(expected).all(|(&found, wanted)| near(found, wanted)), "{:?}", blended.intents);
    for (intent, reply) in [(0, 0), (0, 1), (1, 2), (1, 3)] {
        assert!(near(blended.replies[reply], alone.replies[reply] + blended.by_words(intent)), "{intent}");
    }
    let other = ReplyBank::parse("# wave casual\nHi\n").unwrap().with_vectors(bank.settings.clone(), 2, vec![1.0, 0.0]);
    let unknown = other.judge(&[1.0, 0.0], &talk).intents;
    let other = other.with_words(table()).judge(&[1.0, 0.0], &talk);
    assert_eq!(other.intents, unknown, "an intent that the table does not know stays as the network has it");
}
