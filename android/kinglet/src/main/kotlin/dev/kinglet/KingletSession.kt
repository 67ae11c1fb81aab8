package dev.kinglet

import dev.kinglet.ffi.Piece
import dev.kinglet.ffi.Session as NativeSession
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn

/** A conversation: each turn reads only what is new. After a failed or cancelled answer it is as before that turn. */
public class KingletSession internal constructor(
    private val native: NativeSession,
    private val dispatcher: CoroutineDispatcher,
) : AutoCloseable {
    /**
     * Answers what the user says. Nothing happens before the flow is collected; each collection is a turn of its own. When the
     * collector is cancelled or stops early, the native work ends within a token, and the session is as before that turn.
     *
     * The flow fails with [KingletException.Busy] while another answer is in progress, [KingletException.Closed] and
     * [KingletException.InvalidRequest].
     */
    public fun respond(text: String, options: GenerationOptions = GenerationOptions()): Flow<Event> = flow {
        val generation = native { native.respond(text, options.native()) }
        try {
            endingWith(generation::end) {
                val stream = TextStream(generation)
                while (true) {
                    when (val piece = native { stream.read() } ?: break) {
                        is Piece.Text -> emit(Event.Text(piece.text))
                        is Piece.Done -> emit(Event.Done(Usage.of(piece.usage)))
                    }
                }
            }
        } finally {
            generation.letGo { generation.end() }
        }
    }.flowOn(dispatcher)

    /**
     * Saves what was read and said so far in [OpenOptions.prefixCache]: a session that begins with the same instructions and
     * [messages], also after the process was ended, reads only what is new. The messages themselves are the app's to keep.
     *
     * @return the tokens that were saved.
     * @throws KingletException.Busy
     * @throws KingletException.Closed
     * @throws KingletException.Unsupported without [OpenOptions.prefixCache]
     * @throws KingletException.Storage where that folder takes nothing
     */
    public suspend fun save(): Int = dispatcher.work { native.save().toInt() }

    /** Whether an answer is in progress. */
    public suspend fun isResponding(): Boolean = dispatcher.work { native.isResponding() }

    /**
     * The transcript: messages of completed turns only. An answer in progress is not part of it, and does not block the call.
     *
     * @throws KingletException.Closed
     */
    public suspend fun messages(): List<Message> = dispatcher.work { native.messages().map { Message(it.role, it.content) } }

    /**
     * Forgets what was said, and keeps the instructions.
     *
     * @throws KingletException.Busy
     * @throws KingletException.Closed
     */
    public suspend fun reset(): Unit = dispatcher.work { native.reset() }

    /**
     * A session with the same conversation, which shares memory with this one.
     *
     * @throws KingletException.Busy
     * @throws KingletException.Closed
     * @throws KingletException.OutOfMemory
     */
    public suspend fun fork(): KingletSession = dispatcher.work { KingletSession(native.fork(), dispatcher) }

    /** Ends the answer in progress within a token, and frees the conversation's memory. Closing twice does nothing more. */
    override fun close(): Unit = native.letGo { native.end() }
}
