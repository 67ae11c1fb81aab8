package dev.kinglet

import dev.kinglet.ffi.Kinglet as NativeKinglet
import dev.kinglet.ffi.OpenOptions as NativeOpenOptions
import dev.kinglet.ffi.Piece
import dev.kinglet.ffi.ResponseOptions as NativeResponseOptions
import dev.kinglet.ffi.SessionSetup
import java.io.File
import java.nio.file.Files
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What a phone does to a model: memory runs short, the app goes to the background, the process is ended, screens come and go. */
class DeviceTest {
    private val endless = File(System.getProperty("kinglet.models"), "goldens/llama/genai")
    private val greedy = ResponseOptions(maxNewTokens = 20, sampling = Sampling(temperature = 0f))

    private fun test(body: suspend () -> Unit) = runBlocking { withTimeout(120.seconds) { body() } }

    private suspend fun KingletSession.text(said: String): String =
        respond(said, greedy).toList().filterIsInstance<Event.Text>().joinToString("") { it.text }

    @Test
    fun shortMemoryAndHeatChangeNoAnswer() = test {
        KingletModel.open(endless).use { model ->
            val calm = model.session().use { it.text("hello") }
            for (pressure in MemoryPressure.entries) model.memoryPressure(pressure)
            for (state in ThermalState.entries.reversed()) {
                model.thermal(state)
                assertEquals(calm, model.session().use { it.text("hello") })
            }
        }
    }

    @Test
    fun aPausedModelWaitsAndIsResumedOrCancelled() = test {
        val model = KingletModel.open(endless)
        model.pause()
        assertNull(withTimeoutOrNull(100.milliseconds) { model.session().text("hello") }, "it waits, and cancelling ends that")
        runBlocking {
            launch { model.session().text("hello") }
            delay(20)
            model.resume()
        }
        model.close()
        model.memoryPressure(MemoryPressure.CRITICAL)
        model.pause()
    }

    @Test
    fun aConversationOutlivesItsProcess() = test {
        val cache = Files.createTempDirectory("kinglet").toFile()
        try {
            val options = OpenOptions(prefixCache = cache.path)
            val (messages, expected) = KingletModel.open(endless, options).use { model ->
                val session = model.session()
                session.text("Tell me about the harbour and its ships.")
                val messages = session.messages()
                assertTrue(session.keep() > 16)
                messages to session.text("And then?")
            }
            KingletModel.open(endless, options).use { model ->
                val session = model.session(messages = messages)
                val events = session.respond("And then?", greedy).toList()
                assertEquals(expected, events.filterIsInstance<Event.Text>().joinToString("") { it.text })
                assertTrue((events.last() as Event.Done).usage.cachedTokens > 16)
            }
        } finally {
            cache.deleteRecursively()
        }
    }

    @Test
    fun textThatIsCutIntoSmallReadsIsWhole() = test {
        read(room = 4) { stream -> generateSequence { stream.read() }.filterIsInstance<Piece.Text>().joinToString("") { it.text } }
            .also { small ->
                val large = read(room = 1024) { stream ->
                    generateSequence { stream.read() }.filterIsInstance<Piece.Text>().joinToString("") { it.text }
                }
                assertEquals(large, small)
            }
    }

    /** Not a measure of time that could fail: it is printed. */
    @Test
    fun whatATokenCosts() = test {
        repeat(3) {
            read(room = 4) { stream ->
                var pieces = 0
                val direct = measureTime { while (stream.read() is Piece.Text) pieces++ }
                println("COST text by JNI: ${direct / pieces} a read of $pieces")
            }
        }
    }

    /** Lets [body] read an answer that is complete. */
    private fun <T> read(room: Int, body: (TextStream) -> T): T {
        NativeKinglet(NativeOpenOptions()).use { kinglet ->
            kinglet.open(endless.path).use { model ->
                model.session(SessionSetup()).use { session ->
                    val sampling = Sampling(temperature = 0f)
                    session.respond("hello", NativeResponseOptions(200u, ResponseOptions(sampling = sampling).native().sampling)).use {
                        while (true) {
                            try {
                                session.messages()
                                break
                            } catch (_: dev.kinglet.ffi.KingletException.Busy) {
                                Thread.sleep(1)
                            }
                        }
                        return body(TextStream(it, room))
                    }
                }
            }
        }
    }

    @Test
    fun screensThatComeAndGoLeaveNothingBehind() = test {
        fun cycle() = runBlocking { KingletModel.open(endless).use { model -> model.session().use { it.text("hello") } } }
        repeat(20) { cycle() }
        System.gc()
        val before = resident()
        repeat(200) { cycle() }
        System.gc()
        val grown = resident() - before
        println("GROWTH of 200 openings: $grown KiB")
        assertTrue(grown < 32 * 1024, "$grown KiB")
    }

    /** KiB resident, where Linux tells. */
    private fun resident(): Long =
        File("/proc/self/status").takeIf { it.exists() }?.readLines()?.first { it.startsWith("VmRSS") }?.filter { it.isDigit() }?.toLong() ?: 0
}
