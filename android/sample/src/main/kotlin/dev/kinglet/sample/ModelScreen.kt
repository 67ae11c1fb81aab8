package dev.kinglet.sample

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.HorizontalDivider
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp
import java.util.Locale

/** Description of the model, memory use, and timings. */
@Composable
fun ModelScreen(state: ModelState, modifier: Modifier = Modifier) {
    Column(modifier.verticalScroll(rememberScrollState()).padding(16.dp), Arrangement.spacedBy(12.dp)) {
        state.problem?.let { Text(it, color = MaterialTheme.colorScheme.error) }
        for ((name, value) in facts(state)) {
            Row(Modifier.fillMaxWidth(), Arrangement.SpaceBetween) {
                Text(name, style = MaterialTheme.typography.bodyLarge)
                Text(value, style = MaterialTheme.typography.bodyLarge, color = MaterialTheme.colorScheme.primary)
            }
            HorizontalDivider()
        }
    }
}

/** Names and values, in the order they are shown in. Unknown values are left out. */
fun facts(state: ModelState): List<Pair<String, String>> {
    val info = state.info
    return listOfNotNull(
        info?.let { "Name" to it.name },
        info?.let { "Family" to it.family },
        info?.let { "Parameters" to String.format(Locale.ROOT, "%.1f M", it.parameters / 1e6) },
        info?.precision?.let { "Weights" to it },
        info?.engine?.let { "Engine" to it },
        info?.context?.let { "Context" to "$it tokens" },
        info?.memory?.let { "Memory at most" to megabytes(it.total) },
        info?.let { "On the disk" to megabytes(it.fileBytes) },
        state.openMillis?.let { "Opened in" to "$it ms" },
        state.replyMillis?.let { "Last suggestions in" to "$it ms" },
    )
}

private fun megabytes(bytes: Long) = String.format(Locale.ROOT, "%.1f MB", bytes / 1e6)
