package dev.kinglet

import dev.kinglet.ffi.SystemAnswer
import dev.kinglet.ffi.SystemDownload
import dev.kinglet.ffi.SystemAvailability as NativeAvailability
import dev.kinglet.ffi.SystemFailure as NativeFailure
import dev.kinglet.ffi.SystemModel as NativeSystemModel
import dev.kinglet.ffi.SystemPolicy as NativePolicy
import dev.kinglet.ffi.SystemRequest as NativeRequest
import kotlin.coroutines.cancellation.CancellationException
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext

/** How often an answer without a new piece looks whether anybody still listens. */
private val LOOK = 50.milliseconds

/** The app's system model on the native side. Answers run in coroutines that nobody waits for. */
internal class NativeSystem(private val model: SystemModel) : NativeSystemModel {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    override fun name(): String = model.name

    override fun availability(): NativeAvailability =
        try {
            runBlocking { model.availability() }.native()
        } catch (error: Exception) {
            NativeAvailability.Unknown("its availability cannot be found out: ${error.javaClass.simpleName}")
        }

    override fun respond(request: NativeRequest, answer: SystemAnswer) {
        scope.launch {
            val answering = coroutineContext.job
            val watch = launch {
                while (!answer.isCancelled()) delay(LOOK)
                answering.cancel()
            }
            try {
                model.respond(request.plain()).collect { if (!answer.push(it)) throw CancellationException("nobody listens") }
                answer.finish(false)
            } catch (error: CancellationException) {
                answer.fail(NativeFailure.Cancelled)
                throw error
            } catch (error: SystemModelException) {
                answer.fail(error.native())
            } catch (error: Exception) {
                answer.fail(NativeFailure.Failed("the app's adapter threw ${error.javaClass.simpleName}"))
            } finally {
                // Nothing may call the answer once it is destroyed.
                withContext(NonCancellable) { watch.cancelAndJoin() }
                answer.destroy()
            }
        }
    }

    override fun download(download: SystemDownload) {
        download.fail(NativeFailure.Unsupported("the app has it downloaded by itself"))
        download.destroy()
    }

    override fun prewarm(instructions: String?) {
        scope.launch { runCatching { model.prewarm(instructions) } }
    }
}

internal fun SystemPolicy.native(): NativePolicy =
    when (this) {
        SystemPolicy.PREFER -> NativePolicy.PREFER
        SystemPolicy.FALLBACK -> NativePolicy.FALLBACK
    }

private fun SystemAvailability.native(): NativeAvailability =
    when (this) {
        SystemAvailability.AVAILABLE -> NativeAvailability.Available
        SystemAvailability.DOWNLOADABLE -> NativeAvailability.Downloadable
        SystemAvailability.DOWNLOADING -> NativeAvailability.Downloading
        SystemAvailability.NOT_ELIGIBLE -> NativeAvailability.NotEligible
        SystemAvailability.SWITCHED_OFF -> NativeAvailability.SwitchedOff
        SystemAvailability.NOT_READY -> NativeAvailability.NotReady
        SystemAvailability.NEEDS_UPDATE -> NativeAvailability.NeedsUpdate
        SystemAvailability.UNKNOWN -> NativeAvailability.Unknown("its availability is not known")
    }

private fun SystemModelException.native(): NativeFailure {
    val said = message.orEmpty()
    return when (failure) {
        SystemFailure.REFUSED -> NativeFailure.Refused(said)
        SystemFailure.CONTEXT_TOO_LONG -> NativeFailure.ContextTooLong(said)
        SystemFailure.BUSY -> NativeFailure.Busy(said)
        SystemFailure.UNAVAILABLE -> NativeFailure.Unavailable(said)
        SystemFailure.UNSUPPORTED -> NativeFailure.Unsupported(said)
        SystemFailure.FAILED -> NativeFailure.Failed(said)
    }
}

private fun NativeRequest.plain() =
    SystemRequest(
        instructions,
        messages.map { Message(it.role, it.content) },
        maxNewTokens.toInt(),
        temperature,
        topK?.toInt(),
        topP,
        seed?.toLong(),
    )
