package dev.kinglet

import java.io.File
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import replies

/** The example of the repository, which documents point to. */
class ExampleTest {
    @Test
    fun theExampleShowsRepliesAndErrors() = runBlocking {
        val shown = mutableListOf<String>()
        replies(File(System.getProperty("kinglet.models"), "goldcrest")) { shown += it }
        assertTrue(shown.size >= 2, "$shown")
        assertTrue(shown.none { it.startsWith("no reply") }, "$shown")
        shown.clear()
        replies(File("/no/such/model")) { shown += it }
        assertTrue("/no/such/model" in shown.single(), "$shown")
    }
}
