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
    /** Available now. */
    AVAILABLE,

    /** Available after a download, which the app has to request. */
    DOWNLOADABLE,

    /** Not yet available: the download is in progress. */
    DOWNLOADING,

    /** Not available: the device, the system or the region has no such model. */
    NOT_ELIGIBLE,

    /** Not available: switched off by the user in the system's settings. */
    SWITCHED_OFF,

    /** Not yet available: the system is still preparing it by itself. */
    NOT_READY,

    /** Not available: the system has to be updated. */
    NEEDS_UPDATE,

    /** Not available, for another or an unknown reason. */
    UNKNOWN,
}

/** Why the system's model gave no answer. */
public enum class SystemFailure {
    /** Its guardrails refuse what was asked or what would have been answered. */
    REFUSED,

    /** Instructions, messages and answer are more than it can hold. */
    CONTEXT_TOO_LONG,

    /** Quota or rate limit exceeded, or the app is in the background. */
    BUSY,

    /** The model is not available, or no longer. */
    UNAVAILABLE,

    /** The model does not support the request, such as its language. */
    UNSUPPORTED,

    /** Anything else. */
    FAILED,
}

/**
 * Error of a [SystemModel].
 *
 * @property failure kind of failure.
 * @param message what happened, in one clause, without anything of prompts or answers.
 */
public class SystemModelException(public val failure: SystemFailure, message: String, cause: Throwable? = null) :
    Exception(message, cause)

/**
 * Request to the system's model.
 *
 * @property instructions instructions for the model.
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
