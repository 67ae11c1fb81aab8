package dev.kinglet

import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** The real native library with real models: the shipped one, and one that never ends an answer by itself. */
class KingletTest {
    private val models = File(System.getProperty("kinglet.models"))
    private val goldcrest = File(models, "goldcrest")
    private val endless = File(models, "goldens/llama/genai")

    private fun test(body: suspend () -> Unit) = runBlocking { withTimeout(60.seconds) { body() } }

    private suspend fun KingletSession.text(said: String, tokens: Int): String =
        respond(said, GenerationOptions(maxNewTokens = tokens)).toList().filterIsInstance<Event.Text>().joinToString("") { it.text }

    /** Waits until the session may be used again, and gives its messages. */
    private suspend fun KingletSession.idle(): List<Message> = withTimeout(20.seconds) {
        while (isResponding()) delay(1)
        messages()
    }

    @Test
    fun anotherModelJudgesWhatOneWrites() = test {
        KingletModel.open(endless).use { writer ->
            KingletModel.open(goldcrest).use { judge ->
                writer.judgedBy(judge).use { judged ->
                    val thanks = listOf(Turn(Speaker.CUSTOMER, "thanks so much!!"))
                    val replies = (judged.smartReplies(thanks) as SmartReplies.Suggested).replies
                    assertTrue(replies.all { it.source == ReplySource.BANK }, "what it writes makes no sense: $replies")
                }
                assertThrows<KingletException.Unsupported> { runBlocking { judge.judgedBy(writer) } }
            }
        }
    }

    @Test
    fun repliesAreSuggested() = test {
        KingletModel.open(goldcrest).use { model ->
            val talk = listOf(Turn(Speaker.CUSTOMER, "Do you want to grab lunch tomorrow?"))
            val replies = (model.smartReplies(talk) as SmartReplies.Suggested).replies
            assertTrue(replies.size in 1..3)
            assertEquals(replies, (model.smartReplies(talk) as SmartReplies.Suggested).replies)
            assertTrue(replies.all { it.score in 0f..1f })
            val own = listOf("Yes, gladly.", "The train leaves at nine.")
            val ranked = (model.smartReplies(talk, ReplyOptions(bank = own)) as SmartReplies.Suggested).replies
            val scores = model.scoreReplies(talk, ranked.map { it.text })
            scores.zip(ranked).forEach { (score, reply) -> assertEquals(reply.score, score.score, 1e-2f) }
            assertEquals(ReplySource.BANK, ranked.first().source)
            assertTrue(model.smartReplies(listOf(Turn(Speaker.CUSTOMER, "..."))) is SmartReplies.None)
        }
    }

    @Test
    fun anAnswerIsAFlowOfEvents() = test {
        KingletModel.open(endless).use { model ->
            model.session().use { session ->
                val events = session.respond("hello", GenerationOptions(maxNewTokens = 12)).toList()
                val usage = (events.last() as Event.Done).usage
                assertTrue(usage.newTokens in 1..12)
                val text = events.filterIsInstance<Event.Text>().joinToString("") { it.text }
                assertEquals(listOf(Message("user", "hello"), Message("assistant", text)), session.messages())
                session.reset()
                assertEquals(emptyList<Message>(), session.messages())
            }
        }
    }

    @Test
    fun aCollectorThatStopsEndsTheWork() = test {
        KingletModel.open(endless).use { model ->
            model.session().use { session ->
                session.respond("hello", GenerationOptions(maxNewTokens = 100)).first()
                // The answer is computed ahead of its reader: it may have been complete by then.
                assertTrue(session.idle().size in setOf(0, 2))
                session.text("hello", 2)
            }
        }
    }

    @Test
    fun aCancelledCoroutineEndsTheWork() = test {
        KingletModel.open(endless).use { model ->
            model.session().use { session ->
                runBlocking(Dispatchers.Default) {
                    val begun = CompletableDeferred<Unit>()
                    val job = launch {
                        session.respond("hello", GenerationOptions(maxNewTokens = 100)).collect {
                            begun.complete(Unit)
                            delay(10)
                        }
                    }
                    begun.await()
                    job.cancelAndJoin()
                }
                session.idle()
            }
        }
    }

    @Test
    fun whoIsCancelledWhileWaitingHearsOfNoFailure() = test {
        KingletModel.open(endless).use { model ->
            model.session().use { session ->
                for (millis in 1L..5L) {
                    withTimeoutOrNull(millis) { session.respond("hello", GenerationOptions(maxNewTokens = 100)).toList() }
                    session.idle()
                    session.reset()
                }
            }
        }
    }

    @Test
    fun whatIsClosedSaysSo() = test {
        val model = KingletModel.open(endless)
        val session = model.session()
        val other = model.session()
        session.close()
        session.close()
        assertThrows<KingletException.Closed> { runBlocking { session.messages() } }
        model.close()
        model.close()
        assertThrows<KingletException.Closed> { runBlocking { other.text("hello", 1) } }
        assertThrows<KingletException.Closed> { runBlocking { model.info() } }
        assertEquals(0, model.kvBytes)
        other.close()
    }

    @Test
    fun closingInTheMiddleOfAnAnswerEndsIt() = test {
        val model = KingletModel.open(endless)
        val session = model.session()
        runBlocking(Dispatchers.Default) {
            val begun = CompletableDeferred<Unit>()
            val job = launch {
                try {
                    session.respond("hello", GenerationOptions(maxNewTokens = 100)).collect { begun.complete(Unit) }
                } catch (_: KingletException.Closed) {
                    begun.complete(Unit)
                }
            }
            begun.await()
            model.close()
            session.close()
            job.join()
        }
    }

    @Test
    fun aSessionAnswersOneMessageAtATime() = test {
        KingletModel.open(endless).use { model ->
            model.session().use { session ->
                var refused: Throwable? = null
                session.respond("hello", GenerationOptions(maxNewTokens = 100)).first {
                    refused = runCatching { session.text("and", 1) }.exceptionOrNull()
                    true
                }
                assertTrue(refused is KingletException.Busy || refused == null, "$refused")
                session.idle()
            }
        }
    }

    @Test
    fun errorsSayWhatToDo() = test {
        val missing = assertThrows<KingletException.NotFound> { runBlocking { KingletModel.open(File("/no/such/model")) } }
        assertTrue("/no/such/model" in missing.message.orEmpty(), missing.message)
        val small = OpenOptions(memoryBudget = 1000)
        val memory = assertThrows<KingletException.OutOfMemory> { runBlocking { KingletModel.open(endless, small) } }
        assertTrue("at least" in memory.message.orEmpty(), memory.message)
        KingletModel.open(endless).use { model ->
            model.session().use { session ->
                val hot = GenerationOptions(sampling = Sampling(temperature = -1f))
                val wrong = assertThrows<KingletException.InvalidRequest> { runBlocking { session.respond("a", hot).toList() } }
                assertTrue("temperature" in wrong.message.orEmpty(), wrong.message)
                session.text("hello", 1)
            }
        }
    }

    @Test
    fun aModelIsDescribedAndPrepared() = test {
        KingletModel.open(goldcrest).use { model ->
            val heard = mutableListOf<Float>()
            model.prepare { heard += it }
            assertTrue(heard.all { it in 0f..1f })
            val info = model.info()
            assertEquals(listOf("goldcrest", "llama", "tract"), listOf(info.name, info.family, info.engine))
            assertTrue(info.memory!!.total > 0)
            assertNull(KingletModel.inspect(goldcrest).unsupported)
        }
    }
}
