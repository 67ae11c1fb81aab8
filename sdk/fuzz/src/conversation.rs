//! Conversations as they are typed, pasted and sent: lines, JSON, one message.

use kinglet_tasks::Conversation;

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for conversation in [Conversation::parse(&text), Conversation::parse_lines(&text), Conversation::parse_json(&text)] {
        match conversation {
            Ok(conversation) => {
                let _ = (conversation.next_speaker(), conversation.counted());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "customer: Are you open on Sunday?\nagent: Yes, from ten.\n and until six\ncustomer: Thanks!",
        r#"[{"role": "customer", "content": "hi"}, {"role": "agent", "content": "hello"}]"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}"#,
        "mum is in hospital",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
