package dev.kinglet.sample

import androidx.compose.foundation.background
import androidx.compose.foundation.horizontalScroll
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.PaddingValues
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.imePadding
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.widthIn
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.items
import androidx.compose.foundation.lazy.rememberLazyListState
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.shape.RoundedCornerShape
import androidx.compose.material3.Button
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.SuggestionChip
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import dev.kinglet.Reply
import dev.kinglet.Speaker
import dev.kinglet.Turn

/** Messages of two sides, suggestions for whoever writes next, and the line to write in. A chip puts its text there. */
@Composable
fun MessagesScreen(state: ChatState, say: (String) -> Unit, modifier: Modifier = Modifier) {
    var draft by rememberSaveable { mutableStateOf("") }
    Column(modifier.fillMaxSize().imePadding()) {
        Messages(state.turns, Modifier.weight(1f))
        if (state.searching) {
            val thinking = stringResource(R.string.thinking)
            LinearProgressIndicator(Modifier.fillMaxWidth().semantics { contentDescription = thinking })
        }
        state.note?.let { Text(it, Modifier.padding(horizontal = 16.dp), style = MaterialTheme.typography.bodySmall) }
        Suggestions(state.replies) { draft = it }
        Row(Modifier.padding(16.dp), Arrangement.spacedBy(8.dp), Alignment.CenterVertically) {
            val side = stringResource(if (state.next == Speaker.CUSTOMER) R.string.as_customer else R.string.as_agent)
            OutlinedTextField(
                value = draft,
                onValueChange = { draft = it },
                modifier = Modifier.weight(1f),
                label = { Text(side) },
                placeholder = { Text(stringResource(R.string.write)) },
                maxLines = 4,
            )
            Button(
                onClick = {
                    say(draft)
                    draft = ""
                },
                enabled = draft.isNotBlank(),
            ) { Text(stringResource(R.string.send)) }
        }
    }
}

@Composable
private fun Messages(turns: List<Turn>, modifier: Modifier) {
    val list = rememberLazyListState()
    LaunchedEffect(turns.size) { if (turns.isNotEmpty()) list.animateScrollToItem(turns.lastIndex) }
    LazyColumn(modifier.fillMaxWidth(), list, PaddingValues(16.dp), verticalArrangement = Arrangement.spacedBy(8.dp)) {
        items(turns) { Bubble(it) }
    }
}

@Composable
private fun Bubble(turn: Turn) {
    val mine = turn.speaker == Speaker.AGENT
    val colours = MaterialTheme.colorScheme
    Box(Modifier.fillMaxWidth(), if (mine) Alignment.CenterEnd else Alignment.CenterStart) {
        Text(
            turn.text,
            Modifier
                .widthIn(max = 280.dp)
                .background(if (mine) colours.primaryContainer else colours.surfaceVariant, RoundedCornerShape(16.dp))
                .padding(horizontal = 12.dp, vertical = 8.dp),
            color = if (mine) colours.onPrimaryContainer else colours.onSurfaceVariant,
        )
    }
}

@Composable
private fun Suggestions(replies: List<Reply>, take: (String) -> Unit) {
    val described = stringResource(R.string.suggestions)
    Row(
        Modifier.horizontalScroll(rememberScrollState()).padding(horizontal = 16.dp).semantics { contentDescription = described },
        Arrangement.spacedBy(8.dp),
    ) {
        for (reply in replies) SuggestionChip(onClick = { take(reply.text) }, label = { Text(reply.text) })
    }
}
