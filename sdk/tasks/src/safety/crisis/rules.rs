//! The wordings of crisis, by kind.

use super::CrisisKind;

/// Abbreviations that patterns may use.
pub(super) const ABBREVIATIONS: &[(&str, &str)] = &[
    ("<i>", r"\b(?:i|i'?m|i am|i'?ve|i have|i'?ll|i will|i'?d|ima|imma)\b"),
    ("<self>", r"(?:myself|himself|herself|themself|themselves)"),
    (
        "<intent>",
        r"\b(?:want(?:s|ed|ing)?(?: to)?|wanna|(?:'m|am|is|was|'s|'re|are) (?:going to|about to)|gonna|need to|feel(?:s|ing)? like|think(?:s|ing)? (?:of|about)|thoughts? (?:of|about)|urges? to|plan(?:s|ning)?(?: to| on)?|tempted to|keep(?:s)?|start(?:ed)?(?: to)?|might|will|i'll|tried to|tr(?:y|ies|ying) to|been|stop|threatens? to|threaten(?:ed|ing) to|afraid (?:i|he|she|they)(?:'ll| will| might))",
    ),
    (
        "<relative>",
        r"(?:husband|wife|boyfriend|girlfriend|bf|gf|fianc(?:e|ee|\x{e9}|\x{e9}e)|partner|spouse|ex|ex-?husband|ex-?wife|ex-?boyfriend|ex-?girlfriend|dad|daddy|father|mom|mum|mommy|mummy|mother|step-?dad|step-?father|step-?mom|step-?mother|brother|sister|son|daughter|kid|child|baby|toddler|uncle|aunt|cousin|grandpa|grandma|grandad|granddad|gran|granny|nan|nana|nanna|mam|hubby|hubs|grandfather|grandmother|(?:best )?friend|roommate|flatmate|neighbou?r|boss|teacher|coach|colleague|co-?worker|student|patient|parents)",
    ),
    (
        "<someone>",
        r"(?:he|she|they|someone|somebody|(?:(?:my|the|her|his|our) (?:\w+ )?)?<relative>|(?:a|this|that|some|the) (?:man|guy|woman|person|stranger|intruder|customer)|people)",
    ),
    ("<is>", r"(?:'?s|'re| is| are| was| were)(?: (?:just|still|literally|really|now))?"),
    ("<me>", r"(?:me|us|her|him|my (?:mom|mum|mother|sister|brother|son|daughter|kids?|child|children|friend))"),
    ("<not>", r"(?:n'?t|n?o?t| not| never)"),
];

/// Patterns by kind, in the order in which kinds are reported.
pub(super) const RULES: &[(CrisisKind, &[&str])] = &[
    (CrisisKind::SelfHarm, SELF_HARM),
    (CrisisKind::Abuse, ABUSE),
    (CrisisKind::Violence, VIOLENCE),
    (CrisisKind::Emergency, EMERGENCY),
];

const SELF_HARM: &[&str] = &[
    r"\b(?:kill|hang|stab|drown|unalive|shoot|harm)(?:ing)? myself\b",
    r"<intent> (?:just )?(?:kill|hang|hurt|cut|burn|injure|harm|shoot|drown)(?:t?ing)? <self>\b",
    r"\b(?:my|her|his) (?:\w+ )?<relative>[^.?!]{0,30} (?:killed|hanged|shot|hurts?|cuts?|harms?) (?:himself|herself|themsel(?:f|ves))\b",
    r"<i> (?:just )?(?:hurt|cut|burn(?:ed|t)?|harm(?:ed)?) myself (?:again|on purpose|last night|to feel|to cope|when(?:ever)? i(?:'m| am| feel))",
    r"\bself[- ]?harm(?:ing|ed|s)?\b",
    r"\b(?:cutting again|slit(?:ting)? my (?:own )?(?:wrists?|throat)|cut(?:ting)? my (?:wrists?|arms?|thighs?|veins))\b",
    r"\bsuicidal\b",
    r"\b(?:commit(?:ting)?|attempt(?:ing)?|consider(?:s|ed|ing)?|contemplat(?:e|es|ed|ing)|plan(?:s|ned|ning)?|think(?:s|ing)? (?:of|about)|thought(?:s)? (?:of|about)|tr(?:y|ied|ying)|threaten(?:s|ed|ing)?|help with|close to) (?:to commit )?suicide\b",
    r"\b(?:<i>|my (?:\w+ )?<relative>)[^.?!]{0,30} (?:committed|attempted|died (?:by|from)) suicide\b",
    r"^(?:it'?s |this is )?(?:about )?suicide[.!?]*$",
    r"\b(?:want(?:s|ed)? to|wanna|ready to|going to|gonna|rather|deserve to|wish (?:i could|to)|hope i) (?:just )?(?:die|be dead|not be alive|not exist|disappear forever|never wake up)\b",
    r"\b(?:i|he|she|they) (?:just )?(?:do|does|did)<not> (?:even )?(?:want|wanna|wish)(?: to)? (?:live|be alive|exist|wake up|be here any ?more|go on living|keep living)\b",
    r"\bwish(?:ed|es)? (?:i|he|she) (?:was|were|wasn'?t|weren'?t) (?:dead|alive|here any ?more|never born|born)\b",
    r"\bwish(?:ed|es)? (?:i|he|she) (?:had never been|was never|were never|'d never been) born\b",
    r"\b(?:better off (?:dead|without me|if i (?:was|were) (?:dead|gone))|no (?:reason|point) (?:to|in) (?:live|living|go on|going on|being alive|keep going)|nothing (?:left )?to live for|(?:is|'s)(?:n'?t| not) worth living|tired of (?:living|being alive)|no will to live)\b",
    r"\b(?:end|ending|take|taking|ended|took) (?:my|his|her|their) (?:own )?life(?:[.!?,;~]|$| (?:tonight|today|now|soon|by|with|because|if|and|last|tomorrow))",
    r"\b(?:end|ending) it all\b|\b(?:can'?t|cannot|can not|don'?t want to) go on (?:any ?more|like this|living)\b|\bcan'?t (?:do|take) (?:this|it|life) any ?more(?: and)?[^.?!]{0,20} (?:die|pills|goodbye|end it)\b",
    r"\b(?:going to|gonna|want to|wanna|about to|might|should|could)(?: just)? (?:kms|end it|off myself|jump (?:off|from) (?:a|the|this|my) (?:bridge|roof|building|balcony|cliff|window)|jump in front of (?:a|the) (?:train|car|bus|truck))\b",
    r"\b(?:by the time you (?:read|see) this|this is my (?:last|final) (?:goodbye|message|note)|goodbye forever|no ?(?:one|body) would (?:even )?(?:miss me|care if i (?:died|was gone|were gone|disappeared)|notice if i (?:died|was gone)))\b",
    r"\b(?:can'?t|cannot|do<not>|don'?t) see (?:the|any) point (?:of|in|to) (?:any ?(?:of (?:it|this)|thing)|it all|it any ?more|life|living|going on|carrying on|being here|me)\b",
    r"\b(?:overdos(?:e|ing) on (?:my |his |her )?(?:pills|meds|medication|sleeping)|how many (?:pills|tablets|sleeping pills)[^.?!]{0,25}(?:to die|kill|overdose|never wake)|painless(?:ly)? (?:way )?(?:to die|die|death))\b",
    r"\bkill yourself\b|\bkys\b",
    r"\bgo (?:and )?die(?: in a (?:fire|hole|ditch))?[.!]*$",
];

const ABUSE: &[&str] = &[
    r"\b<someone>(?:<is>| just| always| often| sometimes| keeps?| has| had| would)*(?: been)? (?:hits?|hitting|beats?|beating|beaten|punch(?:es|ed|ing)?|slap(?:s|ped|ping)?|kick(?:s|ed|ing)?|chok(?:es|ed|ing)|strangl(?:es|ed|ing)|burn(?:s|ed|t|ing)) <me>(?: up)?\b",
    r"\b<someone>(?:<is>| just| always| often| keeps?| has| had)*(?: been)? (?:rap(?:es|ed|ing)|molest(?:s|ed|ing)|abus(?:es|ed|ing)|grop(?:es|ed|ing)|groom(?:s|ed|ing)|stalk(?:s|ed|ing)|sexually assault(?:s|ed|ing)|assault(?:s|ed|ing)|traffick(?:s|ed|ing)|blackmail(?:s|ed|ing)) <me>\b",
    r"(?:<i>|\b(?:she|he|they|my (?:\w+ )?<relative>))(?:'s| is| was| were| got| been| being| get| have been| has been| keep)*(?: (?:being|getting|just|sexually|almost|once))* (?:raped|molested|abused|groped|groomed|trafficked|assaulted|stalked|beaten up|beaten|blackmailed)(?: (?:by|at|as a child|when|in|for years|every|again|last|yesterday|and)\b|[.!?,]|$)",
    r"\b(?:raped me|domestic (?:violence|abuse)|sexual(?:ly)? (?:abus\w+|assault\w*)|child abuse|abusive (?:relationship|marriage|husband|wife|partner|boyfriend|girlfriend|father|mother|dad|mom|mum|parents?|step-?\w+|home|household|ex))\b",
    r"\b<someone> (?:touch(?:es|ed)|keeps? touching|is touching|was touching) (?:me|my (?:daughter|son|kid|child))(?: (?:and|when|where|there|in(?:appropriately)?|at night|sexually)|[.!?]|$)",
    r"\b<someone>(?: has| had)? (?:won'?t|will not|doesn'?t|does not|never) let me (?:leave (?:the|this|our) (?:house|home|room|apartment|flat|building)|out of (?:the|my) (?:house|room)|see (?:my family|anyone)|have my (?:phone|passport))\b",
    r"\b<someone>(?: has| had)? (?:won'?t|will not|doesn'?t|does not|never) let me leave(?:[.!?,;~]|$)",
    r"\b(?:locked|locks|keeps|kept|keeping|trapped|traps) me (?:locked )?(?:in|inside) (?:the|a|my|his|her|our|their) (?:room|house|basement|bedroom|cellar|closet|apartment|flat|car|bathroom)\b",
    r"\b(?:scared|afraid|terrified|frightened) (?:of (?:my|the) (?:\w+ )?<relative>(?: (?:when|because|he|she|hurting|coming)|[.!?]|$)|to go home|(?:that )?(?:he|she|they)(?:'ll| will|'s going to| is going to| might)(?: \w+)? (?:hurt|hit|beat|kill|find) me\b)",
    r"\b(?:i have|i've got|covered in|hide|hiding|the) bruises (?:from (?:him|her|my|where)|where (?:he|she)|he |she )",
];

const VIOLENCE: &[&str] = &[
    r"\b<someone>(?:<is>|'s| has| had)*(?: got| grabbed| dragged| pulled| grabs| drags| pulls| held| holds| holding)+ <me> by (?:the|my|her|his) (?:hair|throat|neck|wrists?|arms?)\b",
    r"\b(?:active shooter|school shooter|mass shooting (?:here|at|in progress)|shots? (?:are |is |were )?(?:being )?fired|(?:gun|knife)point|held hostage|hostage situation|bomb threat|drive-?by)\b",
    r"\b<someone>(?:<is>| has| had|'s got| got| pulled(?: out)?| came in with| is holding| holding| is waving| waving| with)+(?: got)? (?:a|his|her) (?:\w+ )?(?:gun|knife|weapon|machete|rifle|shotgun|bomb|pistol|axe)(?: (?:and|is|was|to|at|on|in (?:the|here)|outside|right|here|on me|pointed|help|please)\b|[.!?,]|$)",
    r"\b(?:there(?:'s| is)|i see|i can see) (?:a|some|an? armed) (?:\w+ )?(?:man|guy|woman|person|someone|kid|stranger)?(?: (?:here|outside|downstairs|at the door))?(?: with)? ?(?:a )?(?:gun|knife|machete|rifle|bomb)\b",
    r"\b(?:someone|somebody|they|he|a man|a guy|people|burglars?|an? intruder|robbers?)(?:<is>| just| has)* (?:break(?:ing)? in(?:to)?|broke in(?:to)?|trying to (?:break|get) in(?:to|side)?|broken in(?:to)?|forc(?:ed|ing) (?:his|their|the) (?:way|door))\b(?: (?:right now|now|downstairs|upstairs|next door|outside|my|our|the (?:house|apartment|home|flat|store|shop|office))|[.!?,]|$)",
    r"\b(?:intruder|burglar|robber) (?:in|inside|at|outside) (?:my|the|our)\b",
    r"(?:<i>|\bwe'?re|\bwe are|\b(?:he|she|my (?:\w+ )?<relative>)(?:'s| is| was| got| has been))(?: (?:just|being|getting|got|was|been|currently|literally|right now))* (?:attacked|mugged|robbed at|kidnapped|abducted|stabbed|shot at|beaten up|jumped by|held (?:hostage|captive|against))\b",
    r"(?:<i>|\b(?:he|she|my (?:\w+ )?<relative>))(?:'s| is| was| just| got| been| has been)* (?:shot)(?: (?:in the (?:leg|arm|chest|head|back|stomach|shoulder)|by (?:a|someone|the police))|[.!]|$)",
    r"\b(?:being|getting) (?:attacked|mugged|robbed|followed (?:home|by (?:a|some|this))|chased by (?:a (?:man|guy|stranger|gang)|someone)|kidnapped|stabbed|shot at)\b",
    r"\b(?:someone|somebody|a (?:man|guy|stranger|car|van)|this (?:man|guy)|he|they)(?:<is>| keeps| has been| been)* (?:following|stalking|chasing) me\b(?: (?:home|and|right|down|since|to my|everywhere i|in the)|[.!?,]|$)",
    r"\bthreaten(?:s|ed|ing)? (?:to (?:kill|hurt|shoot|stab|rape|beat|murder|burn|hit)|me with (?:a|his|her)|my (?:life|family|kids|children))\b",
    r"\b(?:he|she|they|someone|(?:my|the) (?:\w+ )?(?:husband|wife|boyfriend|girlfriend|ex|ex-?\w+|neighbou?r|step-?\w+))(?:'s| is|'re| are|'ll| will| said (?:he|she|they)(?:'ll| will|'d| would))? (?:going to |gonna |trying to |wants to |tried to |want to )?(?:kill|murder|hurt|shoot|stab) (?:me|us|her|him|my (?:kids?|children|family|mom|mum|sister|brother))(?:[.!?,]|$| (?:and|please|tonight|now|i|help|too))",
    r"\b(?:i'?m (?:going to|gonna|about to)|i will|i'll|i want to|i wanna|i'd like to|i need to|thinking (?:of|about)|plan(?:ning)? to|i could|how to) (?:kill(?:ing)?|murder(?:ing)?|shoot(?:ing)?|stab(?:bing)?|strangl(?:e|ing)|poison(?:ing)?|hurt(?:ing)?|beat(?:ing)? up) (?:him|her|them|you all|everyone|everybody|someone|somebody|people|(?:my|the|that|this) (?:\w+ )?<relative>|(?:my|all (?:the|my)) (?:classmates|coworkers|co-workers|students|family))\b",
    r"\b(?:bring|brought|bringing|take|taking) (?:a|my|his|the) (?:gun|knife) to (?:school|work|class|church)\b|\bshoot up (?:the|my|this) (?:school|office|place|mall|church)\b",
    r"\b(?:call|calling|called|get|send|dial) (?:the )?(?:police|cops)(?: (?:now|please|right now|immediately|quick(?:ly)?|for me|asap|hurry)|!+)",
    r"\b(?:they|someone|he) (?:took|kidnapped|abducted|has taken) my (?:daughter|son|child|kids?|baby|wife|sister|brother)\b",
];

const EMERGENCY: &[&str] = &[
    r"\b(?:call|calling|dial|get|send|need) (?:me )?(?:an? )?(?:ambulance|911|999|112|paramedics?)\b",
    r"\b(?:is|'s|am|'m|are|'re|be|was|were|think|thinks|just|been) (?:(?:he|she|i|they)(?:'s| is|'m| am)? )?(?:having|has|have|had|suffering|going into) (?:a |an )?(?:\w+ )?(?:heart attack|stroke|seizures?|cardiac arrest|asthma attack|allergic reaction|anaphyla\w+)\b",
    r"\b(?:he|she|i|they|my (?:\w+ )?<relative>|the (?:man|woman|patient|customer|kid|baby))(?: just| think)? (?:has|had|have) (?:a |an )(?:\w+ )?(?:heart attack|stroke|seizure|cardiac arrest)\b",
    r"\b(?:symptoms|signs) of (?:a |an )?(?:heart attack|stroke|overdose)\b|\bcardiac arrest\b|\banaphyla(?:xis|ctic)\b",
    r"\b(?:severe|bad|crushing|sharp|terrible|sudden|having|have|got|awful|intense|strong) (?:\w+ )?(?:chest pains?|pains? in (?:my|his|her) chest)\b|\bmy chest (?:hurts|is (?:tight|hurting))\b",
    r"\b(?:i|he|she|they|baby|my (?:\w+ )?<relative>|the baby) (?:can'?t|cannot|can not|can barely|could<not>|couldn'?t) (?:even )?breathe?\b",
    r"\b(?:is|'s|has|he|she|they|baby|<relative>)(?:n'?t| not| no longer| stopped| stop(?:s)?| barely| struggling| isn'?t| is not)+ breathing\b|\b(?:stopped|not|isn'?t) breathing\b|\btrouble breathing\b|\bdifficulty breathing\b",
    r"\b(?:he|she|they|someone|somebody|<relative>|man|woman|customer|baby|kid|dog|patient)(?:<is>| lying| looks?| seems?| has gone| went| fell| found)+ (?:unconscious|unresponsive|lifeless|passed out|not responding|choking|bleeding out|turning blue|convulsing|seizing|overdosing|drowning)\b",
    r"\bfound (?:him|her|them|my (?:\w+ )?<relative>) (?:unconscious|unresponsive|passed out|lifeless|on the floor|hanging|dead)\b",
    r"\b(?:i am|i'm|<i>) (?:choking|bleeding (?:a lot|badly|heavily|out|so much)|overdosing|drowning|having contractions|about to (?:faint|pass out))\b",
    r"\b(?:won'?t|can'?t|will not|cannot|doesn'?t|not) (?:stop (?:the )?bleeding|stop bleeding)\b|\bbleeding (?:won'?t stop|heavily|badly|profusely|a lot|everywhere|from (?:my|his|her) (?:head|neck|chest|stomach|ears?|wrists?|leg|arm))\b|\bblood everywhere\b|\bcoughing up blood\b|\blos(?:t|ing) (?:a lot of|so much|too much) blood\b",
    r"\b(?:he|she|they|baby|(?:my|the|our) (?:\w+ )?<relative>|the (?:man|woman|patient)) (?:just )?(?:won'?t|will not|isn'?t|is not|are<not>|doesn'?t|does not|can'?t)(?: \w+)? (?:wak(?:e|ing) up|respond(?:ing)?(?: to (?:me|us|anything))?|mov(?:e|ing))\b",
    r"\b(?:can'?t|cannot|couldn'?t) wake (?:him|her|them|my (?:\w+ )?<relative>|the baby)(?: up)?\b",
    r"\b(?:fainted|passed out|collapsed)(?: \w+)? and (?:hit|won'?t|isn'?t|is not|can'?t|hasn'?t|he|she|is bleeding)\b|\b(?:he|she|my (?:\w+ )?<relative>|someone|a (?:man|woman|customer)|(?:my )?<relative>)(?:'s| has)? (?:just |suddenly )?collapsed(?: (?:in|on|at|again|and|while|outside|upstairs|downstairs|by|from|during)|[.!?,]|$)",
    r"\b(?:he|she|they|baby|<relative>)(?:<is>|'s| has)*(?: (?:just|gone|going|turned|turning|went|all))+ blue\b|\b(?:he|she|they|<relative>)(?:<is>| are)?<not>(?: even)? (?:waking up|wak(?:e|ing)|coming round|responding)\b",
    r"\boverdos(?:e|ed|ing)\b",
    r"\b(?:took|taken|swallow(?:ed|s)?|ate|eaten|drank|drunk|ingested) (?:(?:a|the|my|his|her) )?(?:too many|all (?:of )?(?:my|the|his|her)|a (?:whole )?(?:bottle|handful|bunch|lot|pack) of|\d+|\w+ty|some|whole bottle of) (?:of )?(?:(?:my|the|his|her|\w+) )?(?:pills?|tablets?|sleeping pills?|painkillers?|paracetamol|tylenol|ibuprofen|aspirin|xanax|meds?|medication|antidepressants)\b",
    r"\b(?:drank|drunk|swallow(?:ed)?|ate|eaten|ingested|licked) (?:\w+ ){0,2}?(?:bleach|poison|detergent|antifreeze|drain cleaner|batter(?:y|ies)|magnets?|rat poison|cleaning fluid)\b",
    r"\b(?:i was|i've been|he was|she was|he's been|she's been|been|<relative> was|dog was) poisoned\b|\bpoison control\b|\bcarbon monoxide (?:alarm|poisoning|leak)\b|\bgas leak\b|\b(?:i|we) (?:can )?smell gas\b",
    r"\b(?:my|the|our|their|a|this) (?:\w+ )?(?:house|home|apartment|flat|building|kitchen|room|office|store|hotel|car|school|bed)(?:'s| is|'s just| just caught| caught| has caught) (?:on )?fire\b|\bthere(?:'s| is) a fire\b|\btrapped in (?:a|the) (?:fire|car|elevator and|rubble|burning)\b|\bcall(?:ed|ing)? the fire (?:department|brigade)\b",
    r"\b(?:hit|run over|knocked down) by (?:a|the) (?:car|bus|truck|train|van|lorry|drunk driver)\b|\bfell (?:off|from|out of) (?:the|a|his|her) (?:roof|balcony|window|ladder)\b",
    r"\bmy water (?:just )?broke\b|\bgoing into labou?r\b|\bhaving a miscarriage\b",
    r"\b(?:it'?s|this is|we have|there(?:'s| is)) (?:a|an) (?:medical |life[- ]threatening )?emergency\b(?:[.!,]|$| (?:please|help|my|he|she|and|here))|\bmedical emergency\b",
    r"\b(?:(?:he|she|my (?:\w+ )?<relative>)(?:'s| is)|i'?m|i am) dying(?:[.!]|,? (?:here in|of cancer|and|right now|please|help|call|i need)|$)",
];
