package dev.kinglet

import dev.kinglet.ffi.FinishReason as NativeFinish
import dev.kinglet.ffi.Usage as NativeUsage

/** Streaming event of an answer. */
public sealed interface Event {
    /**
     * More of the text.
     *
     * @property text never half a character.
     */
    public data class Text(val text: String) : Event

    /**
     * The answer is complete; nothing follows.
     *
     * @property usage usage of the answer.
     */
    public data class Done(val usage: Usage) : Event
}

/** Why an answer ended. */
public enum class Finish {
    /** A stop string appeared; the text ends before it. */
    STOP,

    /** The model ended its turn. */
    END_OF_TURN,

    /** The answer has as many tokens as were asked for. */
    LENGTH,

    /** The context holds no further token. */
    CONTEXT_FULL,

    /** The request was cancelled; the text so far is valid. */
    CANCELLED,
    ;

    internal companion object {
        fun of(reason: NativeFinish): Finish =
            when (reason) {
                NativeFinish.STOP -> STOP
                NativeFinish.END_OF_TURN -> END_OF_TURN
                NativeFinish.LENGTH -> LENGTH
                NativeFinish.CONTEXT_FULL -> CONTEXT_FULL
                NativeFinish.CANCELLED -> CANCELLED
            }
    }
}

/**
 * Usage of an answer: engine, token counts, finish reason and timing.
 *
 * @property promptTokens tokens of the prompt.
 * @property cachedTokens those of them that were in the cache already.
 * @property newTokens tokens of the answer, an end token included.
 * @property finish why it ended.
 * @property firstTokenMillis milliseconds to the first token; `null` if there is none.
 * @property tokensPerSecond tokens a second after the first; `null` if there was no second one.
 * @property engine which engine answered; `system:` and a name for the system's model, which counts no tokens.
 */
public data class Usage(
    val promptTokens: Int,
    val cachedTokens: Int,
    val newTokens: Int,
    val finish: Finish,
    val firstTokenMillis: Double?,
    val tokensPerSecond: Double?,
    val engine: String,
) {
    internal companion object {
        fun of(usage: NativeUsage) =
            Usage(
                usage.promptTokens.toInt(),
                usage.cachedTokens.toInt(),
                usage.newTokens.toInt(),
                Finish.of(usage.finish),
                usage.firstTokenMs,
                usage.tokensPerSecond,
                usage.engine,
            )
    }
}

/** A side of a conversation. */
public enum class Speaker {
    /** The side that is served; between friends the one who begins. */
    CUSTOMER,

    /** The side that serves. */
    AGENT,
}

/**
 * A message between two sides.
 *
 * @property speaker who said it.
 * @property text text of the message.
 */
public data class Turn(val speaker: Speaker, val text: String)

/**
 * A message of a session.
 *
 * @property role `system`, `user` or `assistant`.
 * @property content text of the message.
 */
public data class Message(val role: String, val content: String)

/** Where a suggested reply comes from. */
public enum class ReplySource {
    /** A bank of replies. */
    BANK,

    /** The model wrote it. */
    MODEL,
}

/**
 * A suggested reply.
 *
 * @property text one line.
 * @property score how well it fits, higher is better; comparable within one answer.
 * @property source where it comes from.
 */
public data class Reply(val text: String, val score: Float, val source: ReplySource = ReplySource.MODEL)

/**
 * How well a given reply fits.
 *
 * @property score ranking score, higher is better; comparable between candidates of one model only.
 * @property logprob the natural logarithm of its probability after the conversation.
 */
public data class ReplyScore(val score: Float, val logprob: Double)

/** Suggested replies, or why there are none. */
public sealed interface SmartReplies {
    /**
     * There are replies.
     *
     * @property replies best first; at least one.
     */
    public data class Suggested(val replies: List<Reply>) : SmartReplies

    /**
     * There is nothing to answer, or nothing good enough to say.
     *
     * @property explanation why, in a sentence.
     */
    public data class None(val explanation: String) : SmartReplies

    /**
     * The conversation speaks of a crisis: a person should answer.
     *
     * @property kind a word for it.
     * @property explanation the same in a sentence.
     */
    public data class Unsafe(val kind: String, val explanation: String) : SmartReplies

    /**
     * The conversation is in a language that the model does not speak.
     *
     * @property language its ISO 639-1 code.
     * @property explanation the same in a sentence.
     */
    public data class UnsupportedLanguage(val language: String, val explanation: String) : SmartReplies
}
