package dev.kinglet.gemini

import com.google.mlkit.genai.common.FeatureStatus
import com.google.mlkit.genai.common.GenAiException
import com.google.mlkit.genai.prompt.GenerateContentRequest
import com.google.mlkit.genai.prompt.Generation
import com.google.mlkit.genai.prompt.GenerativeModel
import com.google.mlkit.genai.prompt.TextPart
import com.google.mlkit.genai.prompt.generateContentRequest
import dev.kinglet.SystemAvailability
import dev.kinglet.SystemFailure
import dev.kinglet.SystemModel
import dev.kinglet.SystemModelException
import dev.kinglet.SystemRequest
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.mapNotNull

/** Tokens that the Prompt API gives at most. */
private const val MOST_TOKENS = 256

/**
 * Gemini Nano by way of AICore, through ML Kit's Prompt API, for [dev.kinglet.KingletModel.open].
 *
 * Where it is [SystemAvailability.DOWNLOADABLE], collect `client.download()`.
 *
 * @property client the API's own client.
 */
public class GeminiNano(public val client: GenerativeModel = Generation.getClient()) : SystemModel, AutoCloseable {
    override val name: String = "gemini-nano"

    override suspend fun availability(): SystemAvailability =
        when (client.checkStatus()) {
            FeatureStatus.AVAILABLE -> SystemAvailability.AVAILABLE
            FeatureStatus.DOWNLOADABLE -> SystemAvailability.DOWNLOADABLE
            FeatureStatus.DOWNLOADING -> SystemAvailability.DOWNLOADING
            else -> SystemAvailability.NOT_ELIGIBLE
        }

    override fun respond(request: SystemRequest): Flow<String> =
        client
            .generateContentStream(asked(request))
            .mapNotNull { it.candidates.firstOrNull()?.text }
            .catch { error -> throw if (error is GenAiException) told(error) else error }

    override suspend fun prewarm(instructions: String?): Unit = client.warmup()

    override fun close(): Unit = client.close()

    /** The API takes one text: the conversation is written out. */
    private fun asked(request: SystemRequest): GenerateContentRequest =
        generateContentRequest(TextPart(text(request))) {
            request.temperature?.let { temperature = it.coerceIn(0f, 1f) }
            request.topK?.let { topK = it }
            request.seed?.let { seed = it.toInt() }
            maxOutputTokens = request.maxNewTokens.coerceAtMost(MOST_TOKENS)
        }

    private fun text(request: SystemRequest): String = buildString {
        request.instructions?.let { appendLine(it).appendLine() }
        if (request.messages.size == 1) {
            append(request.messages.single().content)
            return@buildString
        }
        for (message in request.messages) appendLine("${message.role}: ${message.content}")
        append("assistant:")
    }

    private fun told(error: GenAiException): SystemModelException {
        val failure =
            when (error.errorCode) {
                GenAiException.ErrorCode.BUSY,
                GenAiException.ErrorCode.PER_APP_BATTERY_USE_QUOTA_EXCEEDED,
                GenAiException.ErrorCode.BACKGROUND_USE_BLOCKED,
                -> SystemFailure.BUSY
                GenAiException.ErrorCode.REQUEST_TOO_LARGE -> SystemFailure.CONTEXT_TOO_LONG
                GenAiException.ErrorCode.REQUEST_PROCESSING_ERROR,
                GenAiException.ErrorCode.RESPONSE_PROCESSING_ERROR,
                -> SystemFailure.REFUSED
                GenAiException.ErrorCode.NOT_AVAILABLE,
                GenAiException.ErrorCode.NEEDS_SYSTEM_UPDATE,
                GenAiException.ErrorCode.AICORE_INCOMPATIBLE,
                -> SystemFailure.UNAVAILABLE
                else -> SystemFailure.FAILED
            }
        return SystemModelException(failure, "error ${error.errorCode} of the Prompt API", error)
    }
}
