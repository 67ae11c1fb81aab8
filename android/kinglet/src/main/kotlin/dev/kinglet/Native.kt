package dev.kinglet

import dev.kinglet.ffi.Disposable
import dev.kinglet.ffi.KingletException as Native
import kotlin.coroutines.cancellation.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/** Runs native code, and says its errors in this module's own words. */
internal inline fun <T> native(call: () -> T): T =
    try {
        call()
    } catch (error: Native) {
        throw error.translated()
    } catch (error: CancellationException) {
        // On the JVM it is an IllegalStateException too.
        throw error
    } catch (error: IllegalStateException) {
        // Thrown by uniffi for a destroyed object.
        throw KingletException.Closed("it is closed; open another one", error)
    }

internal fun Native.translated(): Exception {
    val said = message ?: toString()
    return when (this) {
        is Native.NotFound -> KingletException.NotFound(said, this)
        is Native.BadModel -> KingletException.BadModel(said, this)
        is Native.Unsupported -> KingletException.Unsupported(said, this)
        is Native.InvalidRequest -> KingletException.InvalidRequest(said, this)
        is Native.OutOfMemory -> KingletException.OutOfMemory(said, this)
        is Native.Storage -> KingletException.Storage(said, this)
        is Native.Unavailable -> KingletException.Unavailable(said, this)
        is Native.Refused -> KingletException.Refused(said, this)
        is Native.Busy -> KingletException.Busy(said, this)
        is Native.Closed -> KingletException.Closed(said, this)
        is Native.Cancelled -> CancellationException(said)
        is Native.Failed -> KingletException.Failed(said, this)
    }
}

/** Runs blocking native code on this dispatcher. */
internal suspend fun <T> CoroutineDispatcher.work(call: () -> T): T = withContext(this) { native { call() } }

/** Calls a native object, unless it is gone. */
internal inline fun <T : Disposable> T.unlessGone(call: T.() -> Unit) {
    try {
        call()
    } catch (_: IllegalStateException) {
        // Thrown by uniffi for a destroyed object.
    }
}

/** Ends a native object by [end] and lets go of it; one that is gone stays so. */
internal inline fun Disposable.letGo(end: () -> Unit) {
    try {
        end()
    } catch (_: IllegalStateException) {
        return
    }
    destroy()
}

/** Runs [body], which may block its thread, and calls [end], which never waits, as soon as the coroutine is cancelled. */
internal suspend fun <T> endingWith(end: () -> Unit, body: suspend () -> T): T = coroutineScope {
    // In no dispatcher's queue: the thread that cancels calls it.
    val watch = launch(Dispatchers.Unconfined, CoroutineStart.UNDISPATCHED) {
        try {
            awaitCancellation()
        } finally {
            end()
        }
    }
    try {
        body()
    } finally {
        watch.cancelAndJoin()
    }
}
