"""What each error code means to a person, and what to do about it: the prose of `docs/errors.md`.

Not here: the codes themselves and whether a retry can help (`media_assets/errors.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from media_assets.errors import ErrorCode, LabelStudioCode, ModelCode, StoreCode


@dataclass(frozen=True)
class Advice:
    """One row of the page: what happened, and what helps."""

    meaning: str
    what_to_do: str


_REPLAY = "Replay once the cause has passed: `media-assets dead-letters replay`."
_REPLAN = "Correct the list or folder, then plan and materialize it again."

SECTIONS: dict[str, dict[ErrorCode, Advice]] = {
    "Reaching the bytes": {
        ErrorCode.NOT_FOUND: Advice(
            "The server answered 404 or 410, or there is no such file.",
            "The item is not there. Correct the list, or put the file there; then replay.",
        ),
        ErrorCode.FORBIDDEN: Advice(
            "The server answered 401, 403 or 451, or the file may not be read.",
            "Ask the owner for access, or take the item off the list; then replay.",
        ),
        ErrorCode.HTTP_ERROR: Advice(
            "Any other 4xx answer, or an answer that is not HTTP.",
            "The message quotes the answer: check the URL by hand and correct the list.",
        ),
        ErrorCode.SERVER_ERROR: Advice("The server answered 5xx after every retry.", _REPLAY),
        ErrorCode.RATE_LIMITED: Advice(
            "The server answered 429 after every retry.",
            "Lower `MEDIA_ASSETS_CONNECTIONS_PER_HOST`, wait for as long as the host asks, then replay.",
        ),
        ErrorCode.TIMEOUT: Advice("No connection or no answer in time.", _REPLAY),
        ErrorCode.TOO_SLOW: Advice(
            "Bytes came, but not all of them within the time cap.",
            "Replay when the line is free; for a file that needs longer, raise `MEDIA_ASSETS_DOWNLOAD_SECONDS` first.",
        ),
        ErrorCode.CONNECTION_FAILED: Advice("The connection was refused, reset or broken off.", _REPLAY),
        ErrorCode.DNS_FAILED: Advice(
            "The host's name could not be resolved.", f"Check the name and this machine's resolver. {_REPLAY}"
        ),
        ErrorCode.TLS_FAILED: Advice(
            "The certificate was refused, or no cipher was agreed on.",
            "Certificates are never ignored: the host must mend its own, or the list must name another host.",
        ),
        ErrorCode.TRUNCATED_BODY: Advice("Fewer bytes came than the server announced.", _REPLAY),
        ErrorCode.TOO_MANY_BYTES: Advice(
            "The file is over the byte cap, as announced or as received.",
            "If the file is wanted, raise `MEDIA_ASSETS_MAX_ITEM_MIB` and replay.",
        ),
        ErrorCode.TOO_MANY_REDIRECTS: Advice(
            "The chain of redirects is longer than allowed, or a loop.", "Put the final URL into the list."
        ),
        ErrorCode.URL_REFUSED: Advice(
            "Not http or https, or it holds a user name, or a port that is not allowed, or it is no URL.",
            "Correct the URL in the list; secrets never belong into one. A file outside of the folders that may be "
            "read: plan its folder (again), or configure it in `MEDIA_ASSETS_LOCAL_ROOTS`; then replay. An object "
            "outside of the prefix in `MEDIA_ASSETS_INBOX`, or whose key no client can ask for: move it.",
        ),
        ErrorCode.ADDRESS_REFUSED: Advice(
            "The name leads to a private, loopback or otherwise internal address.",
            "On purpose? Name that network in `MEDIA_ASSETS_ALLOWED_NETWORKS` and replay. Otherwise distrust the list.",
        ),
        ErrorCode.ENCODING_REFUSED: Advice(
            "The server compressed the body although it was asked not to.",
            "Fetch the item by other means and plan it as a folder.",
        ),
        ErrorCode.CHECKSUM_MISMATCH: Advice(
            "The bytes are not those that the manifest declares, or not those that were listed in the inbox.",
            "Find out which of the two is right before you correct the checksum in the list. What replaced a file of "
            "the inbox is an item of its own: nothing to do.",
        ),
        ErrorCode.NOT_A_REGULAR_FILE: Advice(
            "A FIFO, device, socket or folder lies where a file was expected.",
            "Put the file there, then replay.",
        ),
        ErrorCode.SYMLINK_REFUSED: Advice(
            "A symbolic link lies where a file was expected; links are never followed.",
            "Put the file itself there, then replay.",
        ),
        ErrorCode.STORAGE_FAILED: Advice(
            "Our own store did not take or give the bytes.",
            f"Run `media-assets doctor`: space, rights, network. {_REPLAY}",
        ),
        ErrorCode.BLOB_DAMAGED: Advice(
            "Kept bytes no longer have their SHA-256: the disk or a program changed them. They were not used. A run "
            "that makes `raw/media` fetches them again by itself; one that makes only later tables cannot.",
            "Replay: `media-assets dead-letters replay --code blob_damaged`. Many of them? Distrust the disk.",
        ),
    },
    "Judging the bytes": {
        ErrorCode.EMPTY: Advice("The file has no bytes.", "Mend it at its source, then replay."),
        ErrorCode.UNKNOWN_FORMAT: Advice(
            "The first bytes are of no format that we know; extension and header are not believed.",
            "Look at the bytes: often an error page under a picture's name. Mend the source, then replay.",
        ),
        ErrorCode.UNSUPPORTED_FORMAT: Advice(
            "A known format which is not opened here, such as SVG, HTML or a playlist.",
            "Convert it before ingest, or take it off the list.",
        ),
        ErrorCode.NO_VIDEO: Advice(
            "A video was expected, and the file holds sound alone, or sound with the picture of a cover.",
            "Take it off the list of videos, or ask its source for the file with pictures.",
        ),
        ErrorCode.TOO_MANY_PIXELS: Advice(
            "The header announces more pixels than the cap; nothing was decoded.",
            "If it is wanted, raise `MEDIA_ASSETS_MAX_MEGAPIXELS` and `MEDIA_ASSETS_WORKER_MEMORY_MIB`, then replay.",
        ),
        ErrorCode.TOO_MANY_FRAMES: Advice(
            "More frames, or more frames times canvas, than the cap.",
            "Cut the animation, then replay. These caps are fixed: 2,000 frames, and 500 megapixels over all of them.",
        ),
        ErrorCode.TRUNCATED: Advice(
            "The file ends before its picture does.",
            "Mend it at its source, then replay. Half pictures are not kept.",
        ),
        ErrorCode.CORRUPT: Advice(
            "The decoder refused the data, or what it decoded contradicts the header.",
            "Mend it at its source, then replay.",
        ),
    },
    "Opening them in the sandbox": {
        ErrorCode.DECODER_CRASHED: Advice(
            "The worker that opened the file died. Its neighbours did not notice.",
            "Treat the file as hostile. After an update of the decoder, replay.",
        ),
        ErrorCode.DECODER_TIMEOUT: Advice(
            "The worker was stopped at its deadline.",
            "Treat the file as hostile, or raise `MEDIA_ASSETS_ITEM_SECONDS` if it is merely large; then replay.",
        ),
        ErrorCode.DECODER_MEMORY: Advice(
            "The worker reached its memory limit.",
            "Treat the file as a bomb, or raise `MEDIA_ASSETS_WORKER_MEMORY_MIB` if it is merely large; then replay.",
        ),
    },
    "Asking a model": {
        ErrorCode.MODEL_FAILED: Advice(
            "The model's runtime gave an error for this frame, and not for most others.",
            "Look at the frame and the message. With another version of the model the batch is made again: "
            "`media-assets materialize --outdated`.",
        ),
        ErrorCode.MODEL_OUTPUT_INVALID: Advice(
            "The model answered with what is no answer: NaN, or a score beyond 0 to 1.",
            "Look at the frame, and at whether the description says what the model's numbers are: logits, or "
            "probabilities. Then replay.",
        ),
    },
    "Planning": {
        ErrorCode.BAD_ROW: Advice(
            "A line of a list cannot become a manifest row.", f"The message names the line. {_REPLAN}"
        ),
    },
}
"""Every error code once, in the order of the page."""

MODEL_CODES: dict[ModelCode, Advice] = {
    ModelCode.RUNTIME_MISSING: Advice(
        "The package that runs the model is not installed.",
        'Install the extra: `pip install -c constraints.txt -e ".[models]"`, or the plug-in that `adapter` names.',
    ),
    ModelCode.DESCRIPTION_INVALID: Advice(
        "The sidecar file is not there, describes no model, or one that another one describes.",
        "The message names what does not fit. [predictions.md](predictions.md) shows what a description says.",
    ),
    ModelCode.FILE_UNREADABLE: Advice(
        "The file that the sidecar names is not there, or is no model that this runtime loads.",
        "Put the right file beside the sidecar. A model has to be one file: no data in others.",
    ),
    ModelCode.FILE_CHANGED: Advice(
        "The file has another SHA-256 than is declared, or was replaced while a run was under way.",
        "Find out which file is right. A new one gets a new `version`, and its own `sha256`.",
    ),
    ModelCode.TOO_LARGE: Advice(
        "Loading the model takes more memory than a worker has.",
        "Raise `MEDIA_ASSETS_WORKER_MEMORY_MIB`: about 4 times the files of all models, and 500 MiB.",
    ),
    ModelCode.INPUT_MISMATCH: Advice(
        "The model takes another shape or type than is described.", "Mend `input` of the description."
    ),
    ModelCode.OUTPUT_MISMATCH: Advice(
        "The model gives other outputs or shapes than are described, or scores of another number of labels.",
        "Mend `output` or `labels` of the description.",
    ),
    ModelCode.FAILS_ON_MOST: Advice(
        "More than half of a batch's items met an error of the model, or a limit of its time or memory, or it answered "
        "to no frame at all: it is to blame, and not they.",
        "The message quotes one of them. Mend the description or the model, then run the batch again.",
    ),
}

STORE_CODES: dict[StoreCode, Advice] = {
    StoreCode.BUCKET_MISSING: Advice(
        "There is no such bucket at this endpoint.",
        "Create it, or correct `MEDIA_ASSETS_LAKE` or `MEDIA_ASSETS_S3_ENDPOINT`.",
    ),
    StoreCode.CREDENTIALS_MISSING: Advice(
        "AWS's chain of providers found no credentials, or the provider failed.",
        "Set `AWS_PROFILE`, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; give the machine a role; or log in.",
    ),
    StoreCode.CREDENTIALS_REFUSED: Advice(
        "The store does not know the key, or the secret or session token does not fit, or it has expired.",
        "Check all three together, or log in anew. `media-assets doctor` says which provider they come from.",
    ),
    StoreCode.ACCESS_DENIED: Advice(
        "A known identity without the right to do this.",
        "Give it the rights that [object-storage.md](object-storage.md#rights) lists; with SSE-KMS, on the key too.",
    ),
    StoreCode.CLOCK_SKEWED: Advice(
        "This machine's clock and the store's are more than 15 minutes apart.", "Set the clock (NTP)."
    ),
    StoreCode.REGION_WRONG: Advice(
        "The bucket is in another region than requests are signed for.",
        "Set `MEDIA_ASSETS_S3_REGION` to the bucket's.",
    ),
    StoreCode.STORE_UNREACHABLE: Advice(
        "No connection, no such name, no TLS, or no answer in time.",
        "Check `MEDIA_ASSETS_S3_ENDPOINT`, the network, a proxy, the certificate; then run the same again.",
    ),
    StoreCode.PUT_IF_ABSENT_IGNORED: Advice(
        "The store takes a second create of one object. Concurrent commits would be lost; no table was begun.",
        "Use a store that honours `If-None-Match`.",
    ),
    StoreCode.STORE_ERROR: Advice(
        "Any other answer, 5xx after every retry among them.", "Look at the store's log, then run the same again."
    ),
}

_AGAIN = "Run the same again: it looks at what is there before it sends anything."

LABEL_STUDIO_CODES: dict[LabelStudioCode, Advice] = {
    LabelStudioCode.UNREACHABLE: Advice(
        "No connection, no such name, no TLS, or no answer to a question in time.",
        f"Check `MEDIA_ASSETS_LABEL_STUDIO_URL`, the network, a proxy, the certificate. {_AGAIN}",
    ),
    LabelStudioCode.TOKEN_REFUSED: Advice(
        "The token is unknown or has expired, is a legacy token where the organization allows none, or its owner may "
        "not do this.",
        "Make a personal access token in Account & Settings, and set `MEDIA_ASSETS_LABEL_STUDIO_TOKEN`.",
    ),
    LabelStudioCode.NOT_FOUND: Advice(
        "There is no such project or task, or something else than Label Studio at this address.",
        "Check the address, a path before it too; a project that was deleted is made again by the next push.",
    ),
    LabelStudioCode.REQUEST_REFUSED: Advice(
        "Label Studio answered with another 4xx: nothing was done. In a push it is told beside the task; the others "
        "go on.",
        "The message has the server's reason: mostly data that the project's configuration asks for.",
    ),
    LabelStudioCode.SERVER_FAILED: Advice(
        "5xx or 429 to a question, after all tries.", f"See the server's log. {_AGAIN}"
    ),
    LabelStudioCode.OUTCOME_UNKNOWN: Advice(
        "Something was sent and not answered, several times, and each time the server did not have it afterwards.",
        f"See whether the server does anything at all. {_AGAIN}",
    ),
    LabelStudioCode.ANSWER_STRANGE: Advice(
        "An answer that Label Studio does not give.",
        "Check the address: a login page or another service may be in between.",
    ),
    LabelStudioCode.FILTER_BROKEN: Advice(
        "Label Studio's filters do not find what is there, or find what was not asked for. Nothing was sent: comparing "
        "with such answers would import every task again.",
        "Use the version that [label-studio.md](label-studio.md) names; look for a proxy that drops query parameters.",
    ),
    LabelStudioCode.PREDICTION_INVALID: Advice(
        "A pre-annotation has a label or control that the project's configuration does not have. Its task is not "
        "pushed; the others are.",
        "Correct the configuration or the map from the model's labels to it, then push again.",
    ),
    LabelStudioCode.TASK_ANNOTATED: Advice(
        "A task was to be withdrawn that somebody has answered, skipped or begun. It is kept, with everything in it.",
        "Pull; let people finish it, or take their answers back in Label Studio by hand.",
    ),
    LabelStudioCode.PROJECT_AMBIGUOUS: Advice(
        "Several projects have the title that is looked for.", "Rename or delete all but one."
    ),
    LabelStudioCode.PROJECT_GONE: Advice(
        "Tasks wait for answers in a project that is not at this address, or is another one now: nothing is pushed or "
        "pulled.",
        "Check address and token: are they of the same server and organization? If what was pushed is really lost, "
        "`media-assets labels forget-pushed PROJECT` makes it due again.",
    ),
}
