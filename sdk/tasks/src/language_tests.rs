use super::*;

fn english() -> LanguageGate {
    LanguageGate::new(&["en".to_owned()])
}

#[test]
fn english_and_what_has_no_language_pass() {
    let passing = [
        "",
        "ok",
        "OK.",
        "k",
        "lol",
        "haha",
        "hahaha lol",
        "\u{1f44d}",
        "\u{1f602}\u{1f602}\u{1f602}",
        "yes",
        "yep!",
        "no",
        "nope",
        "hi",
        "thx",
        "ty",
        "np",
        "brb",
        "42",
        "12:30",
        "3.5%",
        "$19.99",
        "2023-04-01",
        "+1 408 555 0137",
        "A113",
        "https://ejemplo.es/la-cuenta",
        "ana@correo.es",
        "#fiesta @juan",
        "Wojciech Krzyzanowski",
        "Jos\u{e9} Garc\u{ed}a",
        "Nguy\u{1ec5}n V\u{103}n An",
        "S\u{e3}o Paulo",
        "Buenos Aires",
        "Los Angeles",
        "Las Vegas, Nevada",
        "Cr\u{e8}me br\u{fb}l\u{e9}e",
        "una pizza",
        "Grande latte macchiato",
        "Sino in San Jose",
        "El Camino Real",
        "Le Petit Bistro",
        "Das Auto Haus",
        "Can you call me tomorrow?",
        "What's up?",
        "Is it open?",
        "table for two",
        "That sounds great, see you at 7!",
        "idk tbh",
        "omw",
        "gr8",
        "I'd like to book a table at La Taqueria de Los Altos",
        "Can I get a caff\u{e8} latte con panna",
        "We say gracias a lot here",
        "Hola! I need help with my order please",
        "Merci for the help!",
        "Two cortados and one americano",
        "Vente iced americano no whip",
        "window seat",
        "chocolate chip cookies",
        "Iron Maiden concert tickets",
        "San Francisco to Los Angeles",
        "aaaaaaa",
        "qwertyuiop asdfghjkl",
        "Paris Hotel Montmartre check",
        "Definitely!",
        "Perfect",
        "Interesting fact about dolphins",
        "Really? Amazing",
        "Tyrannosaurus",
        "yesssss",
    ];
    let refused: Vec<_> =
        passing.iter().filter_map(|text| english().refuses([*text].into_iter()).map(|lang| (text, lang))).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn other_languages_are_refused_by_name() {
    struct Case {
        text: &'static str,
        lang: &'static str,
    }
    let cases = [
        Case { text: "gracias", lang: "es" },
        Case { text: "muchas gracias", lang: "es" },
        Case { text: "Hola, \u{bf}c\u{f3}mo est\u{e1}s?", lang: "es" },
        Case { text: "\u{bf}A qu\u{e9} hora cierra la tienda hoy?", lang: "es" },
        Case { text: "Necesito cambiar la fecha de mi reserva, por favor", lang: "es" },
        Case { text: "danke sch\u{f6}n", lang: "de" },
        Case { text: "Was kostet das?", lang: "de" },
        Case { text: "Ich brauche Hilfe mit meiner Bestellung", lang: "de" },
        Case { text: "K\u{f6}nnen Sie mir bitte sagen, wann der n\u{e4}chste Zug f\u{e4}hrt?", lang: "de" },
        Case { text: "Bonjour, je voudrais r\u{e9}server une table", lang: "fr" },
        Case { text: "merci beaucoup", lang: "fr" },
        Case { text: "O\u{f9} est ma commande ?", lang: "fr" },
        Case { text: "Gostaria de falar com um atendente", lang: "pt" },
        Case { text: "Vorrei prenotare un tavolo per due persone", lang: "it" },
        Case { text: "Ik wil graag een tafel reserveren", lang: "nl" },
        Case { text: "Jag skulle vilja boka ett bord f\u{f6}r tv\u{e5}", lang: "sv" },
        Case { text: "Chcia\u{142}bym zarezerwowa\u{107} stolik na dzisiaj", lang: "pl" },
        Case { text: "Bug\u{fc}n i\u{e7}in bir masa istiyorum", lang: "tr" },
        Case { text: "Saya ingin memesan meja untuk dua orang", lang: "id" },
        Case { text: "T\u{f4}i mu\u{1ed1}n \u{111}\u{1eb7}t b\u{e0}n cho hai ng\u{1b0}\u{1edd}i t\u{1ed1}i nay", lang: "vi" },
        Case {
            text: "\u{e2a}\u{e27}\u{e31}\u{e2a}\u{e14}\u{e35}\u{e04}\u{e23}\u{e31}\u{e1a} \u{e23}\u{e49}\u{e32}\u{e19}\u{e40}\u{e1b}\u{e34}\u{e14}\u{e01}\u{e35}\u{e48}\u{e42}\u{e21}\u{e07}",
            lang: "th",
        },
        Case { text: "هل يمكنكم مساعدتي في إلغاء الطلب من فضلكم؟", lang: "ar" },
        Case {
            text: "\u{421}\u{43f}\u{430}\u{441}\u{438}\u{431}\u{43e} \u{431}\u{43e}\u{43b}\u{44c}\u{448}\u{43e}\u{435}, \u{44f} \u{43f}\u{43e}\u{434}\u{43e}\u{436}\u{434}\u{443}",
            lang: "ru",
        },
        Case { text: "\u{8c22}\u{8c22}", lang: "zh" },
        Case { text: "\u{3053}\u{3093}\u{306b}\u{3061}\u{306f}", lang: "ja" },
        Case { text: "\u{c548}\u{b155}\u{d558}\u{c138}\u{c694}", lang: "ko" },
        Case { text: "\u{5ea}\u{5d5}\u{5d3}\u{5d4} \u{5e8}\u{5d1}\u{5d4}", lang: "he" },
        Case {
            text: "\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}, \u{92e}\u{941}\u{91d}\u{947} \u{92e}\u{926}\u{926} \u{91a}\u{93e}\u{939}\u{93f}\u{90f}",
            lang: "hi",
        },
    ];
    for Case { text, lang } in cases {
        assert_eq!(english().refuses([text].into_iter()), Some(lang), "{text}");
    }
}

/// Detectors confuse languages of one script in a single word, so only the refusal is certain.
#[test]
fn a_word_in_a_foreign_script_is_refused() {
    for text in
        ["\u{634}\u{643}\u{631}\u{627}", "\u{e02}\u{e2d}\u{e1a}\u{e04}\u{e38}\u{e13}", "\u{434}\u{430}", "\u{3bd}\u{3b1}\u{3b9}"]
    {
        assert!(english().refuses([text].into_iter()).is_some(), "{text}");
    }
}

#[test]
fn the_messages_before_are_asked_when_the_last_says_too_little() {
    struct Case {
        texts: &'static [&'static str],
        refused: Option<&'static str>,
    }
    let cases = [
        Case { texts: &["\u{bf}Est\u{e1} abierto hoy?", "ok"], refused: Some("es") },
        Case { texts: &["Is it open today?", "Until six.", "gracias"], refused: None },
        Case { texts: &["gracias", "\u{1f44d}"], refused: Some("es") },
        Case { texts: &["Is it open today?", "\u{bf}Puede decirme cu\u{e1}nto cuesta la entrada?"], refused: Some("es") },
        Case { texts: &["\u{bf}Puede decirme cu\u{e1}nto cuesta la entrada?", "Sorry, I mean: how much is it?"], refused: None },
        Case { texts: &["\u{bf}Est\u{e1} abierto hoy?", "1", "2", "3", "4"], refused: None },
    ];
    for Case { texts, refused } in cases {
        assert_eq!(english().refuses(texts.iter().copied()), refused, "{texts:?}");
    }
}

#[test]
fn the_model_says_which_languages_it_speaks() {
    let both = LanguageGate::new(&["en".to_owned(), "es-MX".to_owned()]);
    assert_eq!(both.refuses(["muchas gracias, es muy amable"].into_iter()), None);
    assert_eq!(both.refuses(["vielen Dank, das ist sehr nett"].into_iter()), Some("de"));
    let japanese = LanguageGate::new(&["ja".to_owned()]);
    assert_eq!(japanese.refuses(["\u{65e5}\u{672c}\u{8a9e}"].into_iter()), None);
    assert_eq!(japanese.refuses(["please call me back tomorrow"].into_iter()), Some("en"));
    assert_eq!(LanguageGate::new(&[]).refuses(["muchas gracias"].into_iter()), None, "no language named, none refused");
    assert_eq!(LanguageGate::new(&["tlh".to_owned()]).refuses(["muchas gracias"].into_iter()), None);
}

#[test]
fn tags_and_languages_are_one_to_one() {
    for &(tag, lang) in TAGS {
        assert_eq!((language_of_tag(tag), tag_of(lang)), (Some(lang), tag));
    }
    assert_eq!(TAGS.len(), Lang::all().len());
}

#[test]
fn a_tag_that_is_not_known_is_shown_shortened() {
    assert!(unknown("tlh").contains("`tlh`"));
    let said = unknown(&format!("\u{1b}{}", "x".repeat(1 << 20)));
    assert!(said.contains("`\\u{1b}xxx") && said.chars().count() < 200, "{said}");
}
