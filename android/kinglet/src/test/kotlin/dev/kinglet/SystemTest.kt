package dev.kinglet

import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** A system's model as an app gives it, in the place of those that only phones have. */
class SystemTest {
    private val folder = File(System.getProperty("kinglet.models"), "goldens/llama/genai")

    private class Host(
        val availability: suspend () -> SystemAvailability = { SystemAvailability.AVAILABLE },
        val answer: (SystemRequest) -> Flow<String>,
    ) : SystemModel {
        override val name = "nano"

        override suspend fun availability() = availability.invoke()

        override fun respond(request: SystemRequest) = answer(request)
    }

    private fun test(body: suspend () -> Unit) = runBlocking { withTimeout(60.seconds) { body() } }

    private suspend fun KingletModel.ask(): Pair<String, Usage> = session("Be kind.").use { session ->
        val events = session.respond("Hello?", GenerationOptions(maxNewTokens = 5)).toList()
        events.filterIsInstance<Event.Text>().joinToString("") { it.text } to (events.last() as Event.Done).usage
    }

    @Test
    fun aSystemAloneAnswersWhatItIsAsked() = test {
        val asked = CompletableDeferred<SystemRequest>()
        val host = Host { request ->
            asked.complete(request)
            flowOf("Good ", "day.")
        }
        KingletModel.openSystem(host).use { model ->
            val (text, usage) = model.ask()
            assertEquals("Good day." to "system:nano", text to usage.engine)
            val request = asked.await()
            assertEquals("Be kind.", request.instructions)
            assertEquals(listOf(Message("user", "Hello?")), request.messages)
            assertEquals(5, request.maxNewTokens)
        }
    }

    @Test
    fun theFolderAnswersWhereTheSystemDoesNot() = test {
        val busy = Host { flow { throw SystemModelException(SystemFailure.BUSY, "quota") } }
        val absent = Host({ SystemAvailability.NOT_ELIGIBLE }) { flowOf("never") }
        val broken = Host({ error("no such service") }) { flowOf("never") }
        val wrong = Host { flow { error("a mistake") } }
        for (host in listOf(busy, absent, broken, wrong)) {
            KingletModel.open(folder, system = host).use { assertEquals("tract", it.ask().second.engine) }
        }
        val host = Host { flowOf("Here.") }
        KingletModel.open(folder, system = host).use { assertEquals("system:nano", it.ask().second.engine) }
        KingletModel.open(folder, system = host, policy = SystemPolicy.FALLBACK).use { assertEquals("tract", it.ask().second.engine) }
        val nowhere = File("/no/such/model")
        KingletModel.open(nowhere, system = host, policy = SystemPolicy.FALLBACK).use { assertEquals("Here.", it.ask().first) }
    }

    @Test
    fun whatTheSystemRefusesIsSaid() = test {
        val host = Host { flow { throw SystemModelException(SystemFailure.REFUSED, "guardrails") } }
        val error = assertThrows<KingletException.Refused> { runBlocking { KingletModel.openSystem(host).use { it.ask() } } }
        assertTrue("guardrails" in error.message.orEmpty(), error.message)
    }

    @Test
    fun aCollectorThatStopsEndsTheSystemsWork() = test {
        val ended = CompletableDeferred<Unit>()
        val host = Host {
            flow {
                try {
                    emit("Wait")
                    awaitCancellation()
                } finally {
                    ended.complete(Unit)
                }
            }
        }
        KingletModel.openSystem(host).use { model ->
            model.session().use { session ->
                session.respond("Hello?").first()
                ended.await()
            }
        }
    }
}
