package dev.kinglet

import dev.kinglet.ffi.Generation
import dev.kinglet.ffi.Piece
import java.nio.ByteBuffer

/**
 * The pieces of an answer, read by the thread that asks for them. Text comes through [next] into a buffer, a fraction of what it costs
 * otherwise; what ends the answer comes as everything else does.
 *
 * @param room bytes that one read takes at most, at least 4.
 */
internal class TextStream(internal val generation: Generation, room: Int = 1024) {
    private val number = generation.stream().toLong()
    private val buffer = ByteBuffer.allocateDirect(room)

    /** Waits for the next piece; `null` after the last. What has been said meanwhile comes as one piece. */
    fun read(): Piece? {
        val length = next(number, buffer)
        if (length <= 0) return generation.nextBlocking()
        val bytes = ByteArray(length)
        buffer.rewind()
        buffer.get(bytes)
        return Piece.Text(String(bytes, Charsets.UTF_8))
    }

    internal companion object {
        init {
            System.loadLibrary("kinglet_ffi")
        }

        /** Waits for text and writes it to the direct [buffer] in UTF-8; gives its bytes, or less than 1 where none follows. */
        @JvmStatic
        private external fun next(stream: Long, buffer: ByteBuffer): Int
    }
}
