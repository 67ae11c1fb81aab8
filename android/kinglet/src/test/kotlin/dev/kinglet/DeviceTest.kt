package dev.kinglet

import dev.kinglet.ffi.Kinglet as NativeKinglet
import dev.kinglet.ffi.OpenOptions as NativeOpenOptions
import dev.kinglet.ffi.Piece
import dev.kinglet.ffi.GenerationOptions as NativeGenerationOptions
import dev.kinglet.ffi.SessionSetup
import java.io.File
import java.nio.file.Files
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Conditions on a phone: memory runs short, the app goes to the background, the process is ended, screens come and go. */
class DeviceTest {
    private val endless = File(System.getProperty("kinglet.models"), "goldens/llama/genai")
    private val greedy = GenerationOptions(maxNewTokens = 20, sampling = Sampling(temperature = 0f))

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
                assertTrue(session.save() > 16)
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
        repeat(200) { round ->
            read(room = 4) { stream ->
                var pieces = 0
                val direct = measureTime { while (stream.read() is Piece.Text) pieces++ }
                if (round % 50 == 49) println("COST text by JNI: ${direct / pieces} a read of $pieces")
            }
        }
        repeat(40) { round ->
            read(room = 4) { stream ->
                var pieces = 0
                val crossing = measureTime { while (stream.generation.nextBlocking() is Piece.Text) pieces++ }
                if (round % 20 == 19) println("COST text by JNA: ${crossing / pieces} a read of $pieces")
            }
        }
    }

    /** Lets [body] read an answer that is complete. */
    private fun <T> read(room: Int, body: (TextStream) -> T): T {
        NativeKinglet(NativeOpenOptions()).use { kinglet ->
            kinglet.open(endless.path).use { model ->
                model.session(SessionSetup()).use { session ->
                    val sampling = Sampling(temperature = 0f)
                    session.respond("hello", NativeGenerationOptions(200u, GenerationOptions(sampling = sampling).native().sampling)).use {
                        while (session.isResponding()) Thread.sleep(1)
                        return body(TextStream(it, room))
                    }
                }
            }
        }
    }

    /** `KINGLET_CYCLES` sets another number. */
    @Test
    fun screensThatComeAndGoLeaveNothingBehind() = runBlocking {
        fun cycle() = runBlocking { KingletModel.open(endless).use { model -> model.session().use { it.text("hello") } } }
        val cycles = System.getenv("KINGLET_CYCLES")?.toInt() ?: 200
        repeat(50) { cycle() }
        System.gc()
        val before = resident()
        repeat(cycles) { cycle() }
        System.gc()
        val grown = resident() - before
        println("GROWTH of $cycles openings: $grown KiB")
        assertTrue(grown < 32 * 1024, "$grown KiB")
    }

    /** Not a measure of time that could fail: it is printed. */
    @Test
    fun howSoonAnAnswerEnds() = test {
        KingletModel.open(endless).use { model ->
            val micros = (1..200).map { at ->
                model.session().use { session ->
                    var pieces = 0
                    var cancelled = 0L
                    session.respond("hello", GenerationOptions(maxNewTokens = 100)).takeWhile {
                        cancelled = System.nanoTime()
                        ++pieces < 1 + at % 5
                    }.collect()
                    while (session.isResponding()) Thread.onSpinWait()
                    (System.nanoTime() - cancelled) / 1000
                }
            }.sorted()
            val bounds = listOf(100L, 200, 500, 1_000, 2_000, 5_000, 10_000, Long.MAX_VALUE)
            val bars = bounds.zip(listOf(0L) + bounds).map { (to, from) -> "<$to: ${micros.count { it in from until to }}" }
            println("CANCEL in microseconds: median ${micros[100]}, most ${micros.last()}; ${bars.joinToString()}")
        }
    }

    @Test
    fun aCallbackThatThrowsHarmsNothing() = test {
        KingletModel.open(File(endless.parentFile.parentFile.parentFile, "goldcrest")).use { model ->
            runCatching { model.prepare { error("the app's mistake") } }
            model.prepare()
            assertTrue(model.smartReplies(listOf(Turn(Speaker.CUSTOMER, "Do you want to grab lunch tomorrow?"))) is SmartReplies.Suggested)
        }
    }

    @Test
    fun manyCoroutinesOnOneSession() = test {
        KingletModel.open(endless).use { model ->
            val session = model.session()
            val outcomes =
                withContext(Dispatchers.Default) {
                    (1..32).map { async { runCatching { session.respond("hello", GenerationOptions(maxNewTokens = 1)).toList() } } }.awaitAll()
                }
            assertTrue(outcomes.any { it.isSuccess })
            outcomes.mapNotNull { it.exceptionOrNull() }.forEach { assertTrue(it is KingletException.Busy, "$it") }
        }
    }

    /** KiB resident beside the heap of the virtual machine, where Linux tells. */
    private fun resident(): Long {
        val status = File("/proc/self/status").takeIf { it.exists() }?.readLines() ?: return 0
        return status.first { it.startsWith("VmRSS") }.filter { it.isDigit() }.toLong() - Runtime.getRuntime().totalMemory() / 1024
    }
}
