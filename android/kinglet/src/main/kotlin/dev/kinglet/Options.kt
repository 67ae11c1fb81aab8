package dev.kinglet

import dev.kinglet.ffi.EngineChoice
import dev.kinglet.ffi.GenerationOptions as NativeGenerationOptions
import dev.kinglet.ffi.ReplyOptions as NativeReplyOptions
import dev.kinglet.ffi.Sampling as NativeSampling
import dev.kinglet.ffi.WeightsChoice
import dev.kinglet.ffi.OpenOptions as NativeOpenOptions

/** Which engine runs models. */
public enum class Engine {
    /** The fastest by the record of a probe, else the first that runs the model. */
    AUTO,

    /** The embedded one. */
    TRACT,

    /** ONNX Runtime, where this build has it and its library is found. */
    ONNX_RUNTIME,
}

/** Where quantised weights are read from. */
public enum class Weights {
    /** Packed where the device has room for that. */
    AUTO,

    /** The mapped files: ready at once, and the system may take their memory back. */
    IN_PLACE,

    /** Memory of their own, prepacked before the first answer: faster. */
    PACKED,
}

/**
 * How a model is opened.
 *
 * @property threads threads to compute on; `null` for what suits the device.
 * @property memoryBudget bytes that the model may take: weights, keys and values, scratch; `null` for no limit.
 * @property context positions (tokens) that one conversation may hold; `null` for 2,048, or what the model was made for if that is less.
 * @property maxSequences full conversations that there is room for at once; `null` for 8.
 * @property engine the engine.
 * @property weights where quantised weights are read from.
 * @property variant which of several graphs in the model's folder; `null` for the smallest precision.
 * @property prefixCache a folder for prefixes of prompts, computed once and restored later, such as one in `Context.cacheDir`;
 *   `null` to save nothing.
 * @property preparedWeights a folder for prepacked weights, which [KingletModel.prepare] fills and later openings read, such as one
 *   in `Context.noBackupFilesDir`; `null` to prepack at every start.
 */
public data class OpenOptions(
    val threads: Int? = null,
    val memoryBudget: Long? = null,
    val context: Int? = null,
    val maxSequences: Int? = null,
    val engine: Engine = Engine.AUTO,
    val weights: Weights = Weights.AUTO,
    val variant: String? = null,
    val prefixCache: String? = null,
    val preparedWeights: String? = null,
) {
    internal fun native() =
        NativeOpenOptions(
            threads = threads?.count("threads"),
            memoryBudget = memoryBudget?.also { require(it >= 0) { "memoryBudget is $it bytes" } }?.toULong(),
            context = context?.count("context"),
            maxSequences = maxSequences?.count("maxSequences"),
            engine =
                when (engine) {
                    Engine.AUTO -> EngineChoice.AUTO
                    Engine.TRACT -> EngineChoice.TRACT
                    Engine.ONNX_RUNTIME -> EngineChoice.ONNX_RUNTIME
                },
            weights =
                when (weights) {
                    Weights.AUTO -> WeightsChoice.AUTO
                    Weights.IN_PLACE -> WeightsChoice.IN_PLACE
                    Weights.PACKED -> WeightsChoice.PACKED
                },
            variant = variant,
            prefixCache = prefixCache,
            preparedWeights = preparedWeights,
        )
}

/**
 * How tokens are chosen.
 *
 * @property temperature below 1 sharpens, above 1 flattens, 0 takes the most likely token.
 * @property topK keep so many of the most likely tokens; 0 keeps all.
 * @property topP keep the fewest most likely tokens whose probabilities reach this sum; 1 keeps all.
 * @property minP keep tokens at least this fraction as likely as the most likely one; 0 keeps all.
 * @property repetitionPenalty makes tokens of prompt and answer less likely; 1 changes nothing.
 * @property seed the same seed and input give the same answer; `null` draws one.
 */
public data class Sampling(
    val temperature: Float = 0f,
    val topK: Int = 0,
    val topP: Float = 1f,
    val minP: Float = 0f,
    val repetitionPenalty: Float = 1f,
    val seed: Long? = null,
)

/**
 * How an answer is made.
 *
 * @property maxNewTokens tokens that an answer has at most.
 * @property sampling how tokens are chosen; `null` is as the model's makers recommend.
 * @property stop the answer ends before the first of these to appear.
 */
public data class GenerationOptions(
    val maxNewTokens: Int = 256,
    val sampling: Sampling? = null,
    val stop: List<String> = emptyList(),
) {
    internal fun native() =
        NativeGenerationOptions(
            maxNewTokens = maxNewTokens.count("maxNewTokens"),
            sampling =
                sampling?.let {
                    NativeSampling(it.temperature, it.topK.count("topK"), it.topP, it.minP, it.repetitionPenalty, it.seed?.toULong())
                },
            stop = stop,
        )
}

/**
 * How replies are made and chosen.
 *
 * @property count replies to show at most, 1 to 20.
 * @property candidates candidates that the model writes, 1 to 64.
 * @property maxChars characters that a reply may have.
 * @property temperature temperature of sampling, 0 to 2.
 * @property seed the same seed gives the same replies.
 * @property bank replies to choose from; `null` has the model write them.
 * @property languages languages to answer in, as ISO 639-1 codes; `null` for those that the model speaks.
 */
public data class ReplyOptions(
    val count: Int = 3,
    val candidates: Int = 8,
    val maxChars: Int = 160,
    val temperature: Float = 0.3f,
    val seed: Long = 0,
    val bank: List<String>? = null,
    val languages: List<String>? = null,
) {
    internal fun native() =
        NativeReplyOptions(
            count = count.count("count"),
            candidates = candidates.count("candidates"),
            maxChars = maxChars.count("maxChars"),
            temperature = temperature,
            seed = seed.toULong(),
            bank = bank,
            languages = languages,
        )
}

/** A number that is none below 0, as native code takes it. */
private fun Int.count(name: String): UInt =
    if (this >= 0) toUInt() else throw KingletException.InvalidRequest("$name is $this; it must be 0 or more", null)
