package dev.kinglet

import dev.kinglet.ffi.ModelInfo as NativeModelInfo

/**
 * Description of a model: metadata, engine and memory use.
 *
 * @property name the folder's name.
 * @property family the family, such as `llama`.
 * @property parameters parameters, whatever they are packed into.
 * @property precision how the weights are stored, such as `int4`, where that is known.
 * @property fileBytes bytes of the files that hold the weights.
 * @property engine the engine that runs it; `null` where it does not run here.
 * @property context positions that one conversation may hold.
 * @property memory memory use; `null` where it does not run here.
 * @property unsupported why it does not run here, in one sentence.
 * @property json all of the report.
 */
public data class ModelInfo(
    val name: String,
    val family: String,
    val parameters: Long,
    val precision: String?,
    val fileBytes: Long,
    val engine: String?,
    val context: Int?,
    val memory: Memory?,
    val unsupported: String?,
    val json: String,
) {
    /**
     * Bytes that a model takes.
     *
     * @property weights weights: file pages that the system may evict, or resident ones.
     * @property kv keys and values when all conversations are full.
     * @property scratch activations and scratch.
     */
    public data class Memory(val weights: Long, val kv: Long, val scratch: Long) {
        /** All of it. */
        public val total: Long get() = weights + kv + scratch
    }

    internal companion object {
        fun of(info: NativeModelInfo) =
            ModelInfo(
                info.name,
                info.family,
                info.parameters.toLong(),
                info.precision,
                info.fileBytes.toLong(),
                info.engine,
                info.context?.toInt(),
                info.memory?.let { Memory(it.weights.toLong(), it.kv.toLong(), it.scratch.toLong()) },
                info.unsupported,
                info.json,
            )
    }
}
