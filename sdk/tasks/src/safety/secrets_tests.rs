use super::*;

fn of(text: &str) -> Secrets {
    Secrets::in_texts([text].into_iter())
}

#[test]
fn a_reply_that_repeats_a_secret_is_recognised() {
    struct Case {
        said: &'static str,
        reply: &'static str,
    }
    let cases = [
        Case { said: "my card is 4242 4242 4242 4242", reply: "Is your card 4242-4242-4242-4242?" },
        Case { said: "my card is 4242 4242 4242 4242", reply: "The card ending in 4242, right?" },
        Case { said: "card 5555555555554444", reply: "So it is 5555 5555 5555 4444." },
        Case { said: "IBAN DE89 3704 0044 0532 0130 00", reply: "I will use de89370400440532013000." },
        Case { said: "IBAN DE89 3704 0044 0532 0130 00", reply: "The one that begins 3704 0044?" },
        Case { said: "my ssn is 123-45-6789", reply: "Thanks, 123 45 6789 is noted." },
        Case { said: "my social security number is 123456789", reply: "It ends in 6789?" },
        Case { said: "my account number is 00123987", reply: "I see account 00123987." },
        Case { said: "password is hunter2", reply: "I logged in with hunter2." },
        Case { said: "my password is swordfish.", reply: "Swordfish? I will try that." },
        Case { said: "Password: Tr0ub4dor&3", reply: "Is it tr0ub4dor&3?" },
        Case { said: "the wifi password is \"blue kettle\"", reply: "Use blue kettle, thanks." },
        Case { said: "my pin is 9071", reply: "Your number 9071 is right." },
        Case { said: "PIN: 9071", reply: "9071, got it." },
        Case { said: "The verification code is 482913", reply: "I entered 482913." },
        Case { said: "code is 482 913", reply: "Is 482913 the one?" },
        Case { said: "your one-time passcode is 5512", reply: "5512" },
        Case { said: "cvv 123", reply: "And the three digits are 123?" },
        Case { said: "the door code is 7788#", reply: "I will enter 7788." },
        Case { said: "here is the key sk-proj-abcDEF123456ghiJKL", reply: "Use sk-proj-abcDEF123456ghiJKL." },
        Case { said: "token 4f9a1c22b7e80d3a6c5e", reply: "It is 4f9a1c22b7e80d3a6c5e." },
        Case { said: "mail me at ana.li@example.org", reply: "I will write to Ana.Li@example.org." },
        Case { said: "call me on (408) 555-0137", reply: "I will call 408 555 0137." },
        Case { said: "call me on +49 30 901820", reply: "Is it 901820?" },
        Case { said: "my mother's maiden name is Fernsby.", reply: "Fernsby, thank you." },
    ];
    let missed: Vec<_> = cases.iter().filter(|c| !of(c.said).are_in(c.reply, Origin::Bank)).map(|c| (c.said, c.reply)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_generated_reply_may_not_invent_secrets() {
    let invented = [
        "Your card is 4111 1111 1111 1111.",
        "Transfer it to GB29 NWBK 6016 1331 9268 19.",
        "Your SSN is 987-65-4321.",
        "The password is swordfish!",
        "Your password is Summer2024.",
        "Your pin is 4471.",
        "The code is 4471.",
        "Enter the verification code 993012.",
        "Use ghp_16C7e42F292c6912E7710c838347Ae178B4a.",
        "Their phone number is 408-247-8880.",
        "Call +1 408 555 0137.",
        "Write to help@example.org.",
        "write to jane dot doe at example dot com",
        "The account number is 40012345.",
    ];
    let missed: Vec<_> = invented.iter().filter(|text| !Secrets::default().are_in(text, Origin::Generated)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_bank_may_hold_contact_data_but_no_other_secrets() {
    for text in ["Call us at 0800 123 4567.", "Write to help@example.org."] {
        assert!(!Secrets::default().are_in(text, Origin::Bank), "{text}");
        assert!(Secrets::default().are_in(text, Origin::Generated), "{text}");
    }
    assert!(Secrets::default().are_in("Our card is 4111 1111 1111 1111", Origin::Bank));
    assert!(of("I called 0800 123 4567").are_in("Call us at 0800 123 4567.", Origin::Bank));
}

#[test]
fn ordinary_replies_hold_no_secrets() {
    let said = [
        "my card is 4242 4242 4242 4242 and my password is hunter2",
        "the code is 482913, call me at 408 555 0137",
        "my password is not working",
        "the password is too short",
        "I forgot my password",
        "my login is broken please help",
        "The pin is wrong",
        "zip code 94107, promo code SAVE10",
    ];
    let replies = [
        "Your password has been reset.",
        "Is your password working now?",
        "Your password is wrong, please try again.",
        "Please enter your PIN.",
        "I did not get the code.",
        "The table is booked for 4 people at 7:30 pm on March 2nd.",
        "That is $1,499.00 in total.",
        "Your flight leaves at 11:45 on 2023-04-12.",
        "It is at 1435 163rd Avenue.",
        "It opened in 1998 and closed in 2015.",
        "The 2019-2020 season was short.",
        "There are 10 hotels with 3 stars.",
        "The zip code is 94107.",
        "The area code is 415.",
        "Use promo code SAVE10.",
        "It is at 377 Santana Row #1000.",
        "Not yet, it is too short.",
        "Please, I need help with it.",
        "Sure, which card would you like to use?",
        "Order number 12 is ready.",
        "Pin it to the board.",
        "The dress code is casual.",
        "42",
        "\u{1f44d}",
        "",
    ];
    for said in said {
        let dropped: Vec<_> = replies.iter().filter(|reply| of(said).are_in(reply, Origin::Generated)).collect();
        assert!(dropped.is_empty(), "after {said:?}: {dropped:#?}");
    }
}
