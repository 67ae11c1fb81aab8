package dev.kinglet

import kotlinx.coroutines.flow.Flow

/**
 * A model that the system brings, such as Gemini Nano by way of AICore, as the app gives it to Kinglet. Sessions and smart replies are
 * then the same, whoever answers. It is called from several coroutines at once.
 */
public interface SystemModel {
    /** A short name for reports, such as `gemini-nano`. */
    public val name: String

    /** Whether it can be asked now; Kinglet asks before each request. What it throws counts as [SystemAvailability.UNKNOWN]. */
    public suspend fun availability(): SystemAvailability

    /**
     * The answer to [request], piece by piece. The collection is cancelled when nobody listens any more.
     *
     * @throws SystemModelException from the flow: there is no answer, or no more of it. Anything else counts as
     *   [SystemFailure.FAILED].
     */
    public fun respond(request: SystemRequest): Flow<String>

    /** Loads what the first answer would have to load, for sessions that begin with [instructions]. By default nothing. */
    public suspend fun prewarm(instructions: String?) {}
}

/** Whether the system's model can be asked. */
public enum class SystemAvailability {
    /** It can. */
    AVAILABLE,

    /** Once the app has had it downloaded. */
    DOWNLOADABLE,

    /** Soon: it is being downloaded. */
    DOWNLOADING,

    /** It cannot: the device, the system or the region has no such model. */
    NOT_ELIGIBLE,

    /** It cannot: the user has it switched off in the system's settings. */
    SWITCHED_OFF,

    /** It cannot yet: the system still prepares it by itself. */
    NOT_READY,

    /** It cannot: the system has to be updated. */
    NEEDS_UPDATE,

    /** It cannot, and nobody knows why. */
    UNKNOWN,
}

/** Why the system's model gave no answer. */
public enum class SystemFailure {
    /** Its guardrails refuse what was asked or what would have been answered. */
    REFUSED,

    /** Instructions, messages and answer are more than it can hold. */
    CONTEXT_TOO_LONG,

    /** It is asked too much, too often, or while the app is in the background. */
    BUSY,

    /** It is not there, or not any more. */
    UNAVAILABLE,

    /** It cannot do what was asked, such as a language. */
    UNSUPPORTED,

    /** Anything else. */
    FAILED,
}

/**
 * What a [SystemModel] fails with.
 *
 * @property failure what kind of failure it is.
 * @param message what happened, in one clause, without anything of prompts or answers.
 */
public class SystemModelException(public val failure: SystemFailure, message: String, cause: Throwable? = null) :
    Exception(message, cause)

/**
 * What the system's model is asked.
 *
 * @property instructions what the model is told to be.
 * @property messages the conversation, oldest first; the last one is to be answered.
 * @property maxNewTokens tokens that the answer has at most.
 * @property temperature 0 takes the likeliest token; `null` as the system does by itself.
 * @property topK draw from this many of the likeliest tokens; `null` from all.
 * @property topP draw from the likeliest tokens whose probabilities reach this sum; `null` from all.
 * @property seed the same seed gives the same answer, where the system can do that.
 */
public data class SystemRequest(
    val instructions: String?,
    val messages: List<Message>,
    val maxNewTokens: Int,
    val temperature: Float? = null,
    val topK: Int? = null,
    val topP: Float? = null,
    val seed: Long? = null,
)

/** When the system's model is asked. Who begins an answer ends it. */
public enum class SystemPolicy {
    /** First; the folder's model answers where it is unavailable, or fails before there is any text. */
    PREFER,

    /** Second: where the folder's model cannot be opened or runs out of memory. */
    FALLBACK,
}
