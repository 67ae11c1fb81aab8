package dev.kinglet

/**
 * Why something was not done. Each subclass is another thing for the caller to do; the message is one sentence that says what.
 * A cancelled coroutine ends with [kotlin.coroutines.cancellation.CancellationException], as any other, and not with this.
 */
public sealed class KingletException(message: String, cause: Throwable?) : Exception(message, cause) {
    /** There is no model where it was looked for: correct the path, or put the model there. */
    public class NotFound internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** The model's files are damaged or incomplete: get them again. */
    public class BadModel internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** This build does not run the model, or the model cannot do what was asked: take another one. */
    public class Unsupported internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** The request makes no sense for this model: correct it. */
    public class InvalidRequest internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** Exceeds the memory budget, or what the system gives: raise the budget, ask for less, or take a smaller model. */
    public class OutOfMemory internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** A folder takes nothing: make room there or name another one. */
    public class Storage internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** The system's model is not there: download it, ask the user to switch it on, or answer without it. */
    public class Unavailable internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** The guardrails of the system's model refuse the request or its answer: ask for something else. */
    public class Refused internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** No request is possible now: wait until the session's answer is complete, or cancel it; or ask the system's model later. */
    public class Busy internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** The model or session was closed: open another one. */
    public class Closed internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)

    /** The engine or the operating system failed: try again; if it fails again, report it. */
    public class Failed internal constructor(message: String, cause: Throwable?) : KingletException(message, cause)
}
