//! The reasons: one for each kind of value.

use super::reasons::Reason;

/// For every claim.
pub static COMMON: &[Reason] = &[
    Reason {
        claims: "",
        what: &[
            "*/apiVersion",
            "*/kind",
            "*/metadata/resourceVersion",
            "*/metadata/creationTimestamp",
            "*/metadata/generateName",
            "*/metadata/namespace",
            "*/ownerReferences/[]/apiVersion",
            "*/ownerReferences/[]/blockOwnerDeletion",
            "*/ownerReferences/[]/controller",
            "*/ownerReferences/[]/name",
        ],
        why: "An object and its owner are told by their UIDs. Lists and watches hold one kind of one namespace, \
              which the API server sees to. Versions and creation times count where a claim speaks of an order.",
    },
    Reason {
        claims: "",
        what: &["ObjectChanged * /name", "ObjectChanged * /uid"],
        why: "Copies of the object's own name and UID, for those who search the log.",
    },
    Reason {
        claims: "",
        what: &[
            "*/terminationMessagePath",
            "*/terminationMessagePolicy",
            "*/dnsPolicy",
            "*/schedulerName",
            "*/securityContext",
            "*/serviceAccount",
            "*/serviceAccountName",
            "*/enableServiceLinks",
            "*/preemptionPolicy",
            "*/priority",
            "*/containers/[]/name",
            "*/ports/*",
            "*/resources",
            "*/imagePullPolicy",
            "*/restartPolicy",
            "*/terminationGracePeriodSeconds",
            "*/tolerations/[]/*",
            "*/projected/*",
            "*/volumeMounts/[]/*",
            "*/spec/volumes/[]/name",
            "*/spec/hostname",
            "*/spec/subdomain",
            "*/spec/selector/*",
            "*/spec/template/*",
            "*/revisionHistoryLimit",
            "*/progressDeadlineSeconds",
            "*/spec/strategy/*",
            "*/spec/updateStrategy/*",
            "*/spec/podManagementPolicy",
            "*/spec/serviceName",
        ],
        why: "What the manifest asks for, or the API's default, and not what came of it. The claims that speak of \
              it (A2, A5, A7, B2, B7, C10) read it in the objects that they observe.",
    },
    Reason {
        claims: "",
        what: &[
            "*/lastTransitionTime",
            "*/lastUpdateTime",
            "*/lastProbeTime",
            "*/lastTimestamp",
            "*/firstTimestamp",
            "*/last-change-trigger-time",
            "*/startTime",
            "*/startedAt",
            "*/finishedAt",
            "*/started_at",
            "*/finished_at",
            "*/timeAdded",
            "*/deletionTimestamp",
            "*/deletionGracePeriodSeconds",
        ],
        why: "A time by another clock than the log's. Durations are taken from the log's monotonic clock. Of a \
              deletion it is read that it was asked for. The claims on an order (B7, C1, C3 to C6, C10) read the \
              API's times where two changes came close together.",
    },
    Reason {
        claims: "",
        what: &[
            "*/podIP",
            "*/podIPs/[]/ip",
            "*/hostIP",
            "*/hostIPs/[]/ip",
            "*/containerID",
            "*/imageID",
            "*/containerStatuses/[]/image",
            "*/containerStatuses/[]/name",
            "*/containerStatuses/[]/started",
            "*/containerStatuses/[]/lastState*",
            "*/containerStatuses",
            "*/containerStatuses/[]/state/waiting",
            "*/containerStatuses/[]/state/terminated/*",
            "*/containerStatuses/[]/user/*",
            "*/collisionCount",
            "*/fullyLabeledReplicas",
            "*/status/conditions",
        ],
        why: "Details that the kubelet and the controllers report besides what they decided. C2 reads addresses, \
              A7 and A11 the images that run.",
    },
    Reason {
        claims: "",
        what: &[
            "*/conditions/*/observedGeneration",
            "*/metadata/generation",
            "*/status/observedGeneration",
            "*/conditions/*/message",
            "*/conditions/*/reason",
            "*/conditions/*/type",
            "*/conditions/PodReadyToStartContainers/*",
            "*/conditions/Initialized/*",
            "*/conditions/ContainersReady/*",
            "*/conditions/PodScheduled/*",
            "*/status/containerStatuses/[]/ready",
            "*/status/qosClass",
        ],
        why: "A pod is ready where its condition `Ready` says so, which sums up the others and its containers. \
              A5 reads each condition and the QoS class, A1 each container, A3 the reasons, B12 and D4 the \
              scheduler's words. A generation counts where a controller must have seen the last change of a spec.",
    },
    Reason {
        claims: "",
        what: &["*/metadata/labels/*", "*/metadata/annotations/*", "*/metadata/finalizers/[]"],
        why: "Labels by which objects are found: the list or the watch was asked for by them. A1, A5, A6, B1 and D3 \
              read the labels, annotations and finalizers that they name.",
    },
    Reason {
        claims: "",
        what: &[
            "* /server/node",
            "* /server/pod",
            "* /server/pod_uid",
            "* /reason",
            "Sampled * /took_ms",
            "Sampled * /detail",
        ],
        why: "Who answered, and what was said, for people. A row belongs to the server's UUID, which is the data \
              directory's; whether an answer came is the outcome.",
    },
    Reason {
        claims: "",
        what: &[
            "* /value/arithmetic*",
            "* /value/asked",
            "Fault* /fault",
            "FaultHealed /proof/*",
            "FaultInjected /proof/*",
        ],
        why: "Told for people: how a budget was reached, what was asked for, the fault's name, and what else is known of \
              a container besides its power, which is the proof.",
    },
    Reason {
        claims: "",
        what: &["FilesListed * /exists", "FilesListed * /entries/[]/mode", "FilesListed * /entries"],
        why: "What lies there is told by the entries: a folder that is not there holds nothing. Permission bits are \
              no claim's.",
    },
    Reason {
        claims: "",
        what: &["* (one)"],
        why: "One of many that say the same in turn: without it the others still say so. All of them are needed.",
    },
    Reason {
        claims: "",
        what: &[
            "RunStarted *",
            "ScenarioStarted *",
            "ClusterReady *",
            "StepStarted *",
            "StepEnded *",
            "Substituted *",
            "ClaimJudged *",
        ],
        why: "Told for people, and for the page: the frame of a run. Other claims' verdicts are no evidence but \
              for D5.",
    },
];
/// Of single claims.
pub static OWN: &[Reason] = &[
    Reason {
        claims: "",
        what: &["ObjectChanged * /change"],
        why: "Added and modified say the same to a judge. An end is read where a claim looks for one: here it is told by the object too, or the object is not one that ends.",
    },
    Reason {
        claims: "A1 A5 A10",
        what: &["*/metadata/labels/app", "*/metadata/uid", "*/metadata/name"],
        why: "Found by the label that the list was asked for; which of two equal pods is which is no part of the claim. A6, A8 and A9 compare names and UIDs.",
    },
    Reason {
        claims: "",
        what: &["*/metadata/name"],
        why: "Told by its UID, or the only one of its kind that was observed: the name stands in sentences only.",
    },
    Reason {
        claims: "",
        what: &["*/metadata/uid"],
        why: "The only one of its kind that was observed, or found by its name: nothing is compared with its UID in this claim. The history of an object is followed by the UID of the record.",
    },
    Reason {
        claims: "",
        what: &["*/ownerReferences/[]/uid"],
        why: "Who controls it is told by label or by name here. A5, A6 and C1 read owners by UID.",
    },
    Reason {
        claims: "A5",
        what: &["Observed api_servers *"],
        why: "Of an API server only its command line is read: the seconds that it gives to pods.",
    },
    Reason {
        claims: "",
        what: &["*/containers/[]/image"],
        why: "This claim is about pods that keep or lose their place, whatever they run. A6, A7, A8, A11 and C10 read images.",
    },
    Reason {
        claims: "",
        what: &["*/spec/nodeName"],
        why: "Where a pod runs is no part of this claim, or is read of the pod that is compared with it. A4, A8, B3 to B12, C9 and D3 read nodes.",
    },
    Reason {
        claims: "",
        what: &["*/persistentVolumeClaim/claimName", "*/spec/volumes"],
        why: "Which claim a pod mounts is B2's, C3's, C4's and C7's; D4 reads it of the StatefulSet.",
    },
    Reason {
        claims: "",
        what: &["*/containerStatuses/[]/restartCount"],
        why: "A restart is read where a claim says that a pod stayed (A1, A8, A9, A11, C5, C6, D4). This one is about pods that end, or about other parts of them.",
    },
    Reason {
        claims: "",
        what: &[
            "* /object/status/phase",
            "*/pod*/status/phase",
            "*/[]/status/phase",
            "Observed *pod* /value/status/phase",
            "Observed other_* /value/status/phase",
            "Observed trap_* /value/status/phase",
            "Observed mysql_* /value/status/phase",
            "Observed unready /value/status/phase",
        ],
        why: "Readiness says more than the phase, and is read instead; of an end the deletion is. A1 reads the phase of pods, B7, B8 and B12 in their history, B1 and B11 that of volumes and claims.",
    },
    Reason {
        claims: "",
        what: &["*_before*/conditions/Ready/status", "*old_pod /value/status/conditions/Ready/status"],
        why: "How the state before was is another claim's; this one compares identities with it.",
    },
    Reason {
        claims: "A4 A6 A10 A11 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 C2 C3 C4 C5 C6 C7 C8 C9 C10 D4",
        what: &["*/conditions/Ready/status"],
        why: "Not about readiness, or readiness is read elsewhere: in the Deployment's status (A11), in the answers of the server (B), in the history of the pod (C4 to C6), in the state after it (C9, D4).",
    },
    Reason {
        claims: "A2",
        what: &[
            "Observed applied /value/spec/replicas",
            "Observed deployment /value/spec/replicas",
            "Observed deployment /value/status/*",
        ],
        why: "About defaults that the manifest does not give. A1 and A3 judge the status.",
    },
    Reason {
        claims: "A3 A4 A6",
        what: &[
            "Observed deployment /value/spec/replicas",
            "Observed deployment /value/status/*",
            "Observed replica_sets /value/[]/spec/replicas",
            "Observed replica_sets /value/[]/status/*",
        ],
        why: "About conditions (A3), events (A4) and names (A6). A1 judges the Deployment's numbers, A3 the ReplicaSet's.",
    },
    Reason {
        claims: "A1",
        what: &["Observed deployment /value/status/conditions/*"],
        why: "A1 judges the numbers, A3 the conditions.",
    },
    Reason {
        claims: "A5 A8 A9",
        what: &["Observed replica_sets* *"],
        why: "About pods: of a ReplicaSet its template's hash is read, and whether it has pods. A3 and A7 judge its numbers.",
    },
    Reason {
        claims: "A3 A7 A11",
        what: &["Observed replica_sets* /value/[]/status/availableReplicas"],
        why: "Ready pods are counted instead; available is ready for minReadySeconds, which is 0 (A2).",
    },
    Reason {
        claims: "A7 A8 A9 A11",
        what: &["Observed deployment* /value/status/conditions/*"],
        why: "A rollout is complete by its numbers and by the ReplicaSet that `Progressing` names; A3 judges the conditions themselves.",
    },
    Reason {
        claims: "A7 A8 A9 A11",
        what: &["Observed deployment_before* *", "Observed replica_sets_before* *"],
        why: "Of the state before, the template, the revision and the UIDs are compared; that it was complete is A1's and A3's.",
    },
    Reason {
        claims: "A11",
        what: &["Observed deployment_during* *", "Observed pods_during* */state/waiting/*"],
        why: "While the image is bad, the old pods and the generation are read. Why the new pod waits is read in its history, where it may differ from look to look.",
    },
    Reason {
        claims: "A10",
        what: &[
            "Observed * /value/deployments/*",
            "Observed * /value/replica_sets/*",
            "Observed * /value/pods/*",
        ],
        why: "About what is there and what goes, by UID, whatever state it is in.",
    },
    Reason {
        claims: "A7 A10 A11",
        what: &["ObjectChanged Deployment *", "ObjectChanged ReplicaSet *"],
        why: "The history is read for the numbers that the claim limits (available pods, wanted pods) and for ends; the state at the end is read in what was observed.",
    },
    Reason {
        claims: "A7 A10 A11",
        what: &["ObjectChanged Pod */state/waiting/*"],
        why: "A7 and A10 are about pods that come and go; A11 reads the reason, of which the message is the long form.",
    },
    Reason {
        claims: "A4 A11",
        what: &["Observed events *", "ObjectChanged Event *"],
        why: "An event is read by its object's UID, reason, component, host and message. The rest says the same again, or how often.",
    },
    Reason {
        claims: "A7",
        what: &["Observed endpoint_slices *"],
        why: "An endpoint is its pod's by UID. `ready` and `serving` say the same of a pod that runs: one of them is enough, both bent are a lie that is found.",
    },
    Reason {
        claims: "B10",
        what: &["ObjectChanged Node /object/spec/taints/[]/*"],
        why: "That the taint is gone is read; which one it was while the node was down is B8's.",
    },
    Reason {
        claims: "B8 B10",
        what: &["ObjectChanged Node /object/spec/taints"],
        why: "No taint, where none is expected: the lies put one there.",
    },
    Reason {
        claims: "C9",
        what: &["ObjectChanged Node *"],
        why: "Of a node, `Ready` and the taint `out-of-service` are read.",
    },
    Reason {
        claims: "B11 B12",
        what: &[
            "* /value/spec/*",
            "* /value/status/*",
            "ObjectChanged PersistentVolume* /object/spec/*",
            "ObjectChanged PersistentVolume* /object/status/*",
        ],
        why: "What a volume and a claim are made of is B1's. Here it is read that the same ones stay, bound to each other, and what becomes of them.",
    },
    Reason {
        claims: "B2",
        what: &["Observed claim *"],
        why: "Of the claim only the name is read, which the pod mounts; the rest is B1's.",
    },
    Reason {
        claims: "B11",
        what: &["ObjectChanged Deployment /object/spec/*"],
        why: "Of the Deployment its end is read.",
    },
    Reason {
        claims: "B7",
        what: &["Observed deployment_changed /value/spec/replicas"],
        why: "About the strategy; B2 reads the replicas.",
    },
    Reason {
        claims: "B8",
        what: &["FilesListed while-stopped *"],
        why: "The listing proves that the node was down, by the state of its container. What lies there is B9's and B10's.",
    },
    Reason {
        claims: "",
        what: &[
            "FilesListed * /entries/[]/uid",
            "FilesListed * /entries/[]/size",
            "FilesListed * /entries/[]/path",
            "FilesListed * /server_uuid",
        ],
        why: "Read where the claim says something of it: which files lie where (B3, B5, B9, D4), whose they are (B4, B9, D4), that they are as they were (B10, B11).",
    },
    Reason {
        claims: "",
        what: &["FilesListed * /power"],
        why: "Files lie on a node's disk whether it runs or not. That it was down is read where a fault has to be proved (B8, B9, B10, B12).",
    },
    Reason {
        claims: "B9",
        what: &["Observed databases *"],
        why: "Only the ledger's database may not be there.",
    },
    Reason {
        claims: "B9 D4",
        what: &["Observed rows_on_disk /value/files/[]", "Observed trap_on_disk *"],
        why: "Which files the rows were found in is told for people; that there is one, the node and the numbers are read. In D4 the trap's old node runs.",
    },
    Reason {
        claims: "B8",
        what: &["Observed replacement_server *"],
        why: "Of the server it is read in which pod it runs; whose files it has is B9's.",
    },
    Reason {
        claims: "B5 B11",
        what: &["Observed first_server *", "Observed last_server *"],
        why: "Of the server its UUID is read, which names the files; B4 reads where it runs.",
    },
    Reason {
        claims: "B6 B9 B10 D4",
        what: &["Observed first_server *", "Observed third_server *", "Observed server_before *"],
        why: "Of the server before, its UUID is compared; D4 also its pod.",
    },
    Reason {
        claims: "B8",
        what: &["Observed old_pod *"],
        why: "Of the old pod it is read that it is still there, the same one and terminating.",
    },
    Reason {
        claims: "B12",
        what: &["Observed pinned_budget *"],
        why: "A pod that stays Pending has no other time limit than its scheduler's words, which have that of readiness.",
    },
    Reason {
        claims: "B9",
        what: &["RowWritten /row/*", "RowsRead elsewhere /rows"],
        why: "B9 counts by number which rows stayed behind; that there is no table elsewhere is read. Checksums are compared where rows are read (B6, B10, B12).",
    },
    Reason {
        claims: "B10 B12",
        what: &["RowsRead database *"],
        why: "A reading of before, which tells who answered. What B10 and B12 compare are the readings after.",
    },
    Reason {
        claims: "B12",
        what: &["RowsSampled *"],
        why: "The told rows have no digests, so theirs decide nothing; src/judge/durability/samples/tests.rs bends them with digests. The writer's name is that of the rows where it is known.",
    },
    Reason { claims: "D2", what: &["RowWritten *"], why: "D2 counts answers. Which rows they were is D4's." },
    Reason {
        claims: "D4",
        what: &["RowsRead trap-after-upgrade /rows"],
        why: "That there is no table is read.",
    },
    Reason {
        claims: "C4 C7 D4",
        what: &[
            "Observed written *",
            "Observed found *",
            "Observed replaced_wrote *",
            "Observed replacement_found *",
        ],
        why: "A file belongs to a pod by UID, and its content is compared.",
    },
    Reason {
        claims: "C3",
        what: &["Observed volumes *"],
        why: "That a volume is bound to the claim, by UID and name, and has a folder of its own is read. Its namespace and class are the claim's.",
    },
    Reason {
        claims: "C3 C4 C7",
        what: &["ObjectChanged PersistentVolumeClaim *", "Observed claim* *", "Observed *_claim *"],
        why: "A claim is followed by its UID: that it is bound, to which volume, and that it stays. Its class is what the manifest asks for.",
    },
    Reason {
        claims: "C1 C3 C4 C5 C6 C7 C9 C10",
        what: &[
            "Observed set* /value/spec/*",
            "Observed set* /value/status/*",
            "ObjectChanged StatefulSet *",
        ],
        why: "The set's numbers are read where the claim ends in them (C1, C5, C6, C8, C10), its revisions in C10, its template of claims in C3, C4 and C7. Of its history it is read what was asked for and that the controller saw it.",
    },
    Reason {
        claims: "C8",
        what: &["Observed deployment_pods* *"],
        why: "Of the Deployment's pods, which went and which stayed is compared.",
    },
    Reason {
        claims: "C9",
        what: &["Observed other_* *", "Observed pod_* *"],
        why: "Of the pods their UIDs, nodes and ends are compared.",
    },
    Reason {
        claims: "C1 C3 C4 C5 C6 C8 C9 C10",
        what: &["ObjectChanged Pod */state/waiting/reason"],
        why: "Why a container waits is no part of an order: that the pod is not ready is read.",
    },
    Reason {
        claims: "C10",
        what: &["Observed images *"],
        why: "The versions are for people: the reference is read in the pods.",
    },
    Reason {
        claims: "D1",
        what: &[
            "UpgradePlanned */kubectls/*",
            "UpgradePlanned /etcd",
            "UpgradePlanned */expected",
            "UpgradePlanned */safe",
        ],
        why: "kubectl is no part of a cluster. The rest is told for people: what to expect of a step, and whether it is safe to stop after it; the version of etcd is read in each step's `after`.",
    },
    Reason {
        claims: "",
        what: &["UpgradeStepEnded /proof", "UpgradeStepEnded /proof/kubeadm_s"],
        why: "How a step was proved is told for people. What it did is read in versions (D1) and in the history of pods and nodes (D3, D4), and whom a drain evicted in D4.",
    },
    Reason {
        claims: "D1 D2 D3",
        what: &["UpgradeStepEnded /proof/evicted", "UpgradeStepEnded /proof/evicted/[]"],
        why: "Whom a drain says that it evicted is read in D4, where it explains why a pod went.",
    },
    Reason {
        claims: "D4",
        what: &["UpgradeStepEnded /proof/evicted"],
        why: "A list without a name explains no pod, and no pod went there that it would explain. The names in the others are read.",
    },
    Reason {
        claims: "D2 D3 D4",
        what: &[
            "UpgradeStep* /to",
            "UpgradeStep* /step",
            "UpgradeStep* /node",
            "UpgradeStepEnded /error",
            "UpgradeStepEnded /versions*",
        ],
        why: "Steps are read for what they are about and for when they were: D1 judges their order, their errors and the versions after each.",
    },
    Reason {
        claims: "D1 D3 D4",
        what: &["UpgradeStepEnded /took"],
        why: "Times are taken from the records; D2 judges them.",
    },
    Reason {
        claims: "D2",
        what: &["Observed budgets *"],
        why: "The sound upgrade has no outage in these steps, so no budget for one is used up. The lies about D2 put outages there.",
    },
    Reason {
        claims: "D3",
        what: &["Observed budget /value/name"],
        why: "For the sentence; the number is read.",
    },
    Reason {
        claims: "D3 D4",
        what: &["ObjectChanged Pod /object/spec", "ObjectChanged Pod /object/metadata/*"],
        why: "The pod waits for its node, or is followed by UID and label.",
    },
    Reason {
        claims: "B1 B12 D4",
        what: &["Observed volume *", "Observed pinned_volume *"],
        why: "The volume is read for its phase, its path, its policy and the node that it names.",
    },
    Reason {
        claims: "E3",
        what: &["FaultHealed *"],
        why: "E3 is about what happens until the node comes back; if it came back, not before it was seen Unknown.",
    },
    Reason {
        claims: "",
        what: &["FaultHealed /id", "FaultInjected /id", "FaultIntended /node"],
        why: "A fault is matched by its node here, and by the times of its records.",
    },
    Reason {
        claims: "A",
        what: &["ObjectChanged Node *"],
        why: "No claim of part A is about nodes. They are watched to tell what a machine that starves has lost (A11).",
    },
];
