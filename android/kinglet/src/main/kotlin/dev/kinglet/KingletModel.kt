package dev.kinglet

import dev.kinglet.ffi.Cancellation
import dev.kinglet.ffi.ChatMessage
import dev.kinglet.ffi.FileRange
import dev.kinglet.ffi.Kinglet as NativeKinglet
import dev.kinglet.ffi.Model as NativeModel
import dev.kinglet.ffi.OpenOptions as NativeOpenOptions
import dev.kinglet.ffi.PrepareProgress
import dev.kinglet.ffi.ReplySource as NativeSource
import dev.kinglet.ffi.ReplyStatus
import dev.kinglet.ffi.SessionSetup
import dev.kinglet.ffi.SystemPolicy as NativePolicy
import dev.kinglet.ffi.Talk
import dev.kinglet.ffi.TalkTurn
import java.io.File
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext

/**
 * An opened model. It may be used from several coroutines: they take turns step by step.
 *
 * ```kotlin
 * KingletModel.open(File(filesDir, "goldcrest")).use { model ->
 *     val replies = model.smartReplies(listOf(Turn(Speaker.CUSTOMER, "Are you open today?")))
 * }
 * ```
 */
public class KingletModel private constructor(
    private val native: NativeModel,
    private val dispatcher: CoroutineDispatcher,
) : AutoCloseable {
    /**
     * Description of the opened model, with the context that the memory budget allowed.
     *
     * @throws KingletException.Closed
     */
    public suspend fun info(): ModelInfo = dispatcher.work { ModelInfo.of(native.info()) }

    /**
     * Does now what the first answer would have to do first: a moment for small models, a second or two for large ones.
     * [onProgress] hears how much is done, from 0 to 1, on a thread of the model's dispatcher.
     *
     * @throws KingletException.Closed
     * @throws KingletException.OutOfMemory
     * @throws KingletException.Storage where [OpenOptions.preparedWeights] takes nothing
     */
    public suspend fun prepare(onProgress: (Float) -> Unit = {}) {
        val progress =
            object : PrepareProgress {
                override fun onProgress(done: Float) = onProgress(done)
            }
        cancellable { native.prepare(progress, it) }
    }

    /**
     * Begins a conversation.
     *
     * @param instructions a system message before all others.
     * @param messages earlier messages of the conversation, oldest first.
     * @throws KingletException.Closed
     * @throws KingletException.Unsupported for a model without a chat template
     */
    public suspend fun session(instructions: String? = null, messages: List<Message> = emptyList()): KingletSession = dispatcher.work {
        val before = messages.map { ChatMessage(it.role, it.content) }
        KingletSession(native.session(SessionSetup(instructions, before, null)), dispatcher)
    }

    /**
     * Replies for the side whose turn it is in [conversation], oldest message first. That there is no good one is an answer, not an
     * error. The same options give the same replies.
     *
     * @param instructions instructions of the replying side, for models that were trained to read them.
     * @throws KingletException.Closed
     * @throws KingletException.Unsupported for a model without a chat template
     * @throws KingletException.InvalidRequest for options out of range
     */
    public suspend fun smartReplies(
        conversation: List<Turn>,
        options: ReplyOptions = ReplyOptions(),
        instructions: String? = null,
    ): SmartReplies {
        val answer = cancellable { native.smartReply(talk(conversation, instructions), options.native(), it) }
        val (reason, explanation) = answer.reason.orEmpty() to answer.explanation.orEmpty()
        return when (answer.status) {
            ReplyStatus.OK -> SmartReplies.Suggested(answer.replies.map { Reply(it.text, it.score, source(it.source)) })
            ReplyStatus.UNSAFE -> SmartReplies.Unsafe(reason, explanation)
            ReplyStatus.UNSUPPORTED_LANGUAGE -> SmartReplies.UnsupportedLanguage(reason, explanation)
            ReplyStatus.NO_REPLY -> SmartReplies.None(explanation)
        }
    }

    /**
     * The same model, whose suggested replies [judge] judges: a model with a bank of replies, as the one that ships with Kinglet. Its
     * bank fills in where this model writes nothing good, and where neither is sure there is no reply. Close all three.
     *
     * @throws KingletException.Closed
     * @throws KingletException.Unsupported where [judge] has no bank
     */
    public suspend fun judgedBy(judge: KingletModel): KingletModel =
        dispatcher.work { KingletModel(native.judgedBy(judge.native), dispatcher) }

    private fun source(of: NativeSource) = if (of == NativeSource.BANK) ReplySource.BANK else ReplySource.MODEL

    /**
     * How well each of [candidates] fits as the next message of [conversation], in the order of the candidates.
     *
     * @throws KingletException.Closed
     * @throws KingletException.Unsupported for a model without a chat template
     * @throws KingletException.InvalidRequest for a conversation without text, or a candidate that is too long
     */
    public suspend fun scoreReplies(
        conversation: List<Turn>,
        candidates: List<String>,
        instructions: String? = null,
    ): List<ReplyScore> =
        cancellable { native.scoreReplies(talk(conversation, instructions), candidates, it) }.map { ReplyScore(it.score, it.logprob) }

    /** Bytes that keys and values of all sessions take now; 0 once it is closed. */
    public val kvBytes: Long
        get() {
            var bytes = 0L
            native.unlessGone { bytes = kvBytes().toLong() }
            return bytes
        }

    /** Gives memory back, at once or after the step in progress. It never waits, and changes no answer; nothing on a closed model. */
    public fun memoryPressure(pressure: MemoryPressure): Unit = native.unlessGone { memoryPressure(pressure.native()) }

    /** Slows answers down while the device is hot. It holds until the next call. */
    public fun thermal(state: ThermalState): Unit = native.unlessGone { thermal(state.native()) }

    /** Has answers wait, after the token in progress, until [resume]. Cancelling one ends its waiting. */
    public fun pause(): Unit = native.unlessGone { pause() }

    /** Ends a pause, however often it was asked for. */
    public fun resume(): Unit = native.unlessGone { resume() }

    /** Closes the model and its sessions, whose answers end within a token. Closing twice does nothing more. */
    override fun close(): Unit = native.letGo { native.end() }

    /** Runs blocking work that the coroutine's cancellation ends in the middle. */
    private suspend fun <T> cancellable(call: (Cancellation) -> T): T =
        Cancellation().use { cancellation ->
            endingWith(cancellation::cancel) { withContext(dispatcher + NonCancellable) { native { call(cancellation) } } }
        }

    public companion object {
        /**
         * Opens the model in [folder]. Weights are mapped, not read: it is a matter of milliseconds.
         *
         * @param dispatcher where blocking work runs.
         * @param system the system's model, to be asked as [policy] says; `null` for none.
         * @throws KingletException.NotFound
         * @throws KingletException.BadModel
         * @throws KingletException.Unsupported
         * @throws KingletException.OutOfMemory where it does not fit [OpenOptions.memoryBudget]
         */
        public suspend fun open(
            folder: File,
            options: OpenOptions = OpenOptions(),
            dispatcher: CoroutineDispatcher = Dispatchers.IO,
            system: SystemModel? = null,
            policy: SystemPolicy = SystemPolicy.PREFER,
        ): KingletModel = opened(dispatcher, { kinglet(options, system, policy) }) { it.open(folder.path) }

        /**
         * As [open], with files that lie elsewhere than in [folder], such as assets: they are mapped from where they lie, and the
         * descriptors may be closed afterwards.
         */
        internal suspend fun open(
            folder: File,
            files: List<FileRange>,
            options: OpenOptions,
            dispatcher: CoroutineDispatcher,
        ): KingletModel = opened(dispatcher, { NativeKinglet(options.native()) }) { it.openRanges(folder.path, files) }

        /**
         * Opens the system's model alone, without a folder.
         *
         * @param dispatcher where blocking work runs.
         */
        public suspend fun openSystem(system: SystemModel, dispatcher: CoroutineDispatcher = Dispatchers.IO): KingletModel =
            opened(dispatcher, { NativeKinglet.withSystemModel(NativeOpenOptions(), NativeSystem(system), NativePolicy.ONLY) }) {
                it.openSystem()
            }

        /**
         * Description of the model in [folder], also of one that does not run here: [ModelInfo.unsupported] then gives the reason.
         *
         * @throws KingletException.NotFound
         * @throws KingletException.BadModel
         */
        public suspend fun inspect(folder: File, options: OpenOptions = OpenOptions()): ModelInfo = withContext(Dispatchers.IO) {
            native { NativeKinglet(options.native()).use { ModelInfo.of(it.inspect(folder.path)) } }
        }

        private fun kinglet(options: OpenOptions, system: SystemModel?, policy: SystemPolicy) =
            if (system == null) {
                NativeKinglet(options.native())
            } else {
                NativeKinglet.withSystemModel(options.native(), NativeSystem(system), policy.native())
            }

        private suspend fun opened(
            dispatcher: CoroutineDispatcher,
            kinglet: () -> NativeKinglet,
            open: (NativeKinglet) -> NativeModel,
        ): KingletModel = dispatcher.work { kinglet().use { KingletModel(open(it), dispatcher) } }

        private fun talk(conversation: List<Turn>, instructions: String?) =
            Talk(conversation.map { TalkTurn(it.speaker == Speaker.AGENT, it.text) }, instructions)
    }
}
