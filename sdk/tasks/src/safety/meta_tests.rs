use super::*;

#[test]
fn replies_about_the_task() {
    let about = [
        "As an AI, I can't do that.",
        "I'm just a language model.",
        "As an assistant, I am happy to help.",
        "I am an AI language model and do not have feelings.",
        "I don't have personal experiences.",
        "Here is a reply:",
        "Here's a short friendly reply: Sure!",
        "Sure, here's a",
        "Sure, here's a possible response.",
        "Certainly! Here are three options:",
        "Reply: Sure, sounds good.",
        "Reply 1: Sounds good",
        "User: hello",
        "Assistant: Sounds good!",
        "Sounds good! User: thanks",
        "In one short friendly sentence, I would agree.",
        "A short, friendly message.",
        "You could reply with a simple yes.",
        "You can say: \"Sure\"",
        "I would respond to the message with thanks.",
        "The user wants to know the time.",
        "Hi [Name], thanks!",
        "See you at <time>.",
        "See you at {place}",
        "Dear ____, thank you",
        "Insert name here",
        "Sounds good<|im_end|>",
        "1. Sounds good",
        "- Sounds good",
        "* Sounds good",
        "# Reply",
        "**Sure!**",
        "`Sure`",
        "*smiles* Sure",
        "\"Sure\" or \"Sounds good\"",
    ];
    let missed: Vec<_> = about.iter().filter(|reply| !is_about_the_task(None, reply)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn replies_to_someone() {
    let fine = [
        "Sure, sounds good!",
        "Here you go",
        "Here's hoping!",
        "Here is the thing: I can't come.",
        "Thanks for the quick reply!",
        "I'll reply to your email later.",
        "Could you answer the door?",
        "I am an engineer",
        "Sorry, I can't make it - maybe another time?",
        "I'd say yes :)",
        "Let me ask the customer service.",
        "Good question!",
        "You could say that haha",
        "In one word: yes",
        "Could you confirm this for me: four people?",
        "A 10:30 start is fine",
        "1916. I looked it up.",
        "Play it on the speaker in the kitchen.",
        "What is the user rating?",
        "Well (sort of)",
        "I <3 it",
        "No. 5 is best",
        "That's a \"maybe\" from me",
        "5 * 3 is a lot",
        "Can you read me the message?",
        "",
    ];
    let dropped: Vec<_> = fine.iter().filter(|reply| is_about_the_task(None, reply)).collect();
    assert!(dropped.is_empty(), "{dropped:#?}");
}

#[test]
fn words_of_the_instructions() {
    let told = Some("You answer for a small shop. Write the replies alone, with no numbers and no names.");
    struct Case {
        reply: &'static str,
        taken: bool,
    }
    let cases = [
        Case { reply: "I write the replies alone, with care.", taken: true },
        Case { reply: "Write the REPLIES, alone: with love", taken: true },
        Case { reply: "I answer for a small fee.", taken: false },
        Case { reply: "No numbers and no names, please", taken: true },
        Case { reply: "no names", taken: false },
    ];
    for Case { reply, taken } in cases {
        assert_eq!(is_about_the_task(told, reply), taken, "{reply}");
        assert!(!is_about_the_task(None, reply), "{reply}");
    }
}
