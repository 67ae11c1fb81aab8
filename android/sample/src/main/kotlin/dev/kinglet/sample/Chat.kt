package dev.kinglet.sample

import dev.kinglet.KingletException
import dev.kinglet.Reply
import dev.kinglet.SmartReplies
import dev.kinglet.Speaker
import dev.kinglet.Turn
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch

/**
 * State of the messaging screen.
 *
 * @property turns messages of the conversation, oldest first.
 * @property next who writes the next message.
 * @property replies suggestions for whoever writes next, best first.
 * @property searching whether suggestions are on their way.
 * @property note why there are none, as a sentence.
 */
data class ChatState(
    val turns: List<Turn> = emptyList(),
    val next: Speaker = Speaker.CUSTOMER,
    val replies: List<Reply> = emptyList(),
    val searching: Boolean = false,
    val note: String? = null,
)

/**
 * A conversation between two sides on one device, with suggestions for the side that is to answer.
 *
 * @param scope ends the search for suggestions when it ends: that of the screen's view model.
 * @param suggest finds replies; see [dev.kinglet.KingletModel.smartReply].
 */
class Chat(private val scope: CoroutineScope, private val suggest: suspend (List<Turn>) -> SmartReplies) {
    private val mutable = MutableStateFlow(ChatState())
    private var search: Job? = null

    /** State to show. */
    val state: StateFlow<ChatState> = mutable.asStateFlow()

    /** Adds a message of the side whose turn it is, and looks for replies to it. A search for an earlier one ends. */
    fun say(text: String) {
        if (text.isBlank()) return
        search?.cancel()
        mutable.update {
            val turns = it.turns + Turn(it.next, text.trim())
            ChatState(turns, it.next.other(), searching = true)
        }
        search = scope.launch {
            val turns = state.value.turns
            val found =
                try {
                    suggest(turns)
                } catch (error: KingletException) {
                    SmartReplies.None(error.message.orEmpty())
                }
            mutable.update { it.with(found) }
        }
    }

    private fun ChatState.with(found: SmartReplies) =
        when (found) {
            is SmartReplies.Suggested -> copy(replies = found.replies, searching = false, note = null)
            is SmartReplies.None -> copy(replies = emptyList(), searching = false, note = found.explanation)
            is SmartReplies.Unsafe -> copy(replies = emptyList(), searching = false, note = found.explanation)
            is SmartReplies.UnsupportedLanguage -> copy(replies = emptyList(), searching = false, note = found.explanation)
        }
}

/** Who answers this side. */
fun Speaker.other(): Speaker = if (this == Speaker.CUSTOMER) Speaker.AGENT else Speaker.CUSTOMER
