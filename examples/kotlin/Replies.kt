import dev.kinglet.Event
import dev.kinglet.KingletException
import dev.kinglet.KingletModel
import dev.kinglet.SmartReplies
import dev.kinglet.Speaker
import dev.kinglet.Turn
import java.io.File

/** Suggested replies to a conversation, and an answer as it grows: what an app does, without its screens. */
suspend fun replies(folder: File, show: (String) -> Unit) {
    try {
        KingletModel.open(folder).use { model ->
            val conversation =
                listOf(
                    Turn(Speaker.CUSTOMER, "hi!! how was the exam?"),
                    Turn(Speaker.AGENT, "hard but it's over"),
                    Turn(Speaker.CUSTOMER, "do you want to celebrate at the cafe on friday?"),
                )
            when (val found = model.smartReplies(conversation)) {
                is SmartReplies.Suggested -> found.replies.forEach { show(it.text) }
                is SmartReplies.None -> show("no reply: ${found.explanation}")
                is SmartReplies.Unsafe -> show("a person should answer: ${found.explanation}")
                is SmartReplies.UnsupportedLanguage -> show("not in this language: ${found.explanation}")
            }

            model.session().use { session ->
                session.respond("Can I change my booking to Friday?").collect { event ->
                    when (event) {
                        is Event.Text -> show(event.text)
                        is Event.Done -> show("${event.usage.newTokens} tokens, by ${event.usage.engine}")
                    }
                }
            }
        }
    } catch (error: KingletException) {
        // Each subclass is another thing to do, and the message says what.
        show(error.message.orEmpty())
    }
}
