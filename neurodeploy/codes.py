"""The codes of refusals: what each means, its usual cause, what to do. ``neurodeploy explain CODE`` prints them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Code:
    """A rule that a refusal names.

    meaning : what was found, after the part of the program that looks at it
    cause : how that usually comes about
    todo : what to do about it
    """

    meaning: str
    cause: str
    todo: str


_ANEW = "Make the file anew with this program, or fetch it again where it came from."
_TEXT = "Correct the line that the message names; the language stands in the README under Architecture."
_CHIP_FILE = "Correct the entry that the message names; targets/xylo_imu/chip.toml is a short example."

#: Stable codes. The first two digits name the part that refuses, the last two the rule.
CODES: Mapping[str, Code] = MappingProxyType(
    {
        "ND1001": Code(
            "step text: not of the language",
            "A text of a chip or neuron uses Python that the small language of steps does not have: a loop, a call.",
            _TEXT,
        ),
        "ND1002": Code("step text: unknown name", "A name is misspelt, or belongs to another handler.", _TEXT),
        "ND1003": Code(
            "step text: divisor, shift or width outside its range",
            "By its interval a divisor could be 0, a shift negative, or a width is none that a state can have.",
            "Bound the value in the text with min or max, or narrow the range of the parameter that it comes from.",
        ),
        "ND1004": Code(
            "step text: intervals leave int64",
            "A product or sum of registers could need more than 64 bits.",
            "Narrow the registers, or cut between two operations with sat or wrap, where the chip does.",
        ),
        "ND1005": Code(
            "step text: value of a state outside its width after a handler",
            "The text writes a state without sat or wrap, and a value came that does not fit: the chip file is wrong.",
            "Say in the text what the chip does with such a value: sat(x, bits) or wrap(x, bits).",
        ),
        "ND1006": Code(
            "step text: name never read, or read before it has a value",
            "A line computes what nobody uses, often a misspelt state; or lines stand in the wrong order.",
            _TEXT,
        ),
        "ND1101": Code("chip file: unreadable", "No TOML, no such file, or no text.", "Correct the line or the path."),
        "ND1102": Code(
            "chip file: entry missing, unknown or of the wrong kind",
            "A misspelt key, a number where a text belongs, a required table that is not there.",
            _CHIP_FILE,
        ),
        "ND1103": Code(
            "chip file: entries contradict each other",
            "Two tables name different neurons or connections, a range is empty, or a parent is missing.",
            _CHIP_FILE,
        ),
        "ND1104": Code(
            "unknown chip",
            "The name is misspelt, or the package that brings the chip is not installed.",
            "neurodeploy targets lists the names; a path of a folder with a chip.toml is taken as well.",
        ),
        "ND1201": Code(
            "network: shape or index",
            "Arrays of different lengths, an index of a neuron that is not there, or a hardware id that stands twice.",
            "Build groups and projections with group(), projection() and pairs(), which know the shapes.",
        ),
        "ND1202": Code(
            "network: value outside what the register holds",
            "A weight or parameter is wider than the register of the chip.",
            "Quantize for this chip, or change the value; nothing is clipped in silence.",
        ),
        "ND1203": Code(
            "network: unknown group, kind or parameter",
            "A name that the chip or the network does not have, or one that is missing.",
            "The message lists the names that there are.",
        ),
        "ND1204": Code(
            "network: not placed",
            "The neurons have no hardware ids, and these decide the order of events.",
            "nd.map(network), or nd.place_identity(network) for a small one.",
        ),
        "ND1301": Code(
            "simulation: shape, type or sign of the input",
            "The input is not (time, batch, channel) of whole numbers from 0, or not as wide as the input group.",
            "Give counts, not rates or currents; move the axes to (time, batch, channel).",
        ),
        "ND1302": Code(
            "simulation: count above the cap of the input",
            "More events of a channel in one step than the chip takes.",
            "Use shorter steps, or state with raw=True that the register decides.",
        ),
        "ND1303": Code(
            "simulation: unknown state or option",
            "A misspelt name of a state, an executor, an order.",
            "The message lists what there is.",
        ),
        "ND1304": Code(
            "simulation: queue of events full, or activity that never ends",
            "Neurons that feed themselves faster than they come to rest.",
            "Raise thresholds or lower weights on the way round; the chip itself would lose events or hang.",
        ),
        "ND1305": Code(
            "simulation: engine of many processes, its address or workers",
            "No scheduler answers at the address, it has no workers, or one of them failed.",
            "Start the cluster, check the address, or simulate in this process (no --engine).",
        ),
        "ND1401": Code(
            "file: unreadable, truncated or of another format",
            "A wrong path, a download that was cut, a file of another program, or a place that takes no files.",
            "Check the path and what stands there. " + _ANEW,
        ),
        "ND1402": Code(
            "file: pickled content",
            "Arrays of objects were saved, or a pickle was renamed.",
            "Loading a pickle runs code from it: convert the file to plain arrays where you trust it.",
        ),
        "ND1403": Code(
            "file: changed since it was written",
            "A byte differs from what the hash says: edited, damaged on the way, or packed again by another program.",
            _ANEW,
        ),
        "ND1404": Code(
            "file: schema version",
            "The file was written by a newer or older version of this program, or by hand.",
            "Use the version that wrote it, or write it anew.",
        ),
        "ND1501": Code(
            "data: layout not stated or wrong",
            "An array does not say which axis is time, or says it wrongly.",
            'State it: nd.data(array, layout="time,batch,channel").',
        ),
        "ND1502": Code(
            "data: values",
            "Fractions, negative counts, NaN, labels that are missing, or events that are out of order.",
            "Turn the recording into counts with an encoder, or correct the entries that are named.",
        ),
        "ND1503": Code("data: encoder option", "An option outside its range.", "The message says the range."),
        "ND1504": Code(
            "evaluation: option or labels",
            "An unknown rule of decision, labels of another length, or evaluations of different samples.",
            "Evaluate the same samples by the same rule.",
        ),
        "ND1601": Code(
            "float model: parameter",
            "A time constant, threshold or option of a layer outside what it means.",
            "The message says the range; time constants are in steps unless the name ends in _s.",
        ),
        "ND1602": Code(
            "float model: input shape",
            "The input is not (time, batch, ...), or not as wide as the first layer.",
            "Move the axes; begin a model of images with torch.nn.Unflatten(2, (channels, rows, columns)).",
        ),
        "ND1603": Code(
            "float model: module that cannot be deployed",
            "A layer that no integer network computes: batch statistics in training mode, an activation, attention.",
            "Replace it as the message says; the README lists what may stand between two neuron layers.",
        ),
        "ND1604": Code(
            "float model: NaN or infinite value",
            "Training diverged, or a parameter was divided by 0.",
            "Load an earlier checkpoint; lower the learning rate.",
        ),
        "ND1605": Code(
            "float model: forward that cannot be traced",
            "Control flow that depends on values, or a call that torch.fx cannot follow.",
            "Write the forward as a chain of modules, or state the wiring as nd.Graph.",
        ),
        "ND1606": Code(
            "float model: calibration of a conversion",
            "Samples of another shape, none at all, or a layer that stays silent on all of them.",
            "Give typical inputs (batch, ...), as the network was trained on.",
        ),
        "ND1701": Code(
            "quantizer: neuron that the chip does not have",
            "Another reset, comparison or number of time constants than the chip computes.",
            "nd.approximate(model, chip) replaces it by the nearest and says what that costs.",
        ),
        "ND1702": Code(
            "quantizer: time constant outside the grid",
            "Slower or faster than any decay of the chip.",
            "nd.constrain(model, chip) before training keeps time constants on the grid; or use another dt.",
        ),
        "ND1703": Code(
            "quantizer: value does not fit its register",
            "One large weight, threshold or bias takes the range from all the others, or a forbidden value is used.",
            "Clip or regularize it in training, split the layer, or choose another chip.",
        ),
        "ND1704": Code(
            "quantizer: calibration data",
            "Counts of another shape or above the cap, or data on which no neuron fires.",
            "Calibrate on a part of the training data, in the steps of the deployment.",
        ),
        "ND1705": Code(
            "quantizer: width that cannot be chosen",
            "A chip whose weights have one width, a layer that is not there, or bits that hold no weight but 0.",
            "neurodeploy search says which widths there are; leave the others out.",
        ),
        "ND1801": Code(
            "mapper: limit exceeded",
            "More neurons, synapses, fan-in or memory than the chip has.",
            "The message gives the number asked, the number available and what to make smaller.",
        ),
        "ND1802": Code(
            "mapper: place not available",
            "Neurons that must stand where there is no room, or whose links reach only part of the chip.",
            "Follow the ways out that the message lists; each of them was tried.",
        ),
        "ND1901": Code(
            "configuration: cannot be written or read",
            "The format has no place for something in the network, or the file lacks or contradicts an entry.",
            "Remove what is named, choose another format with --format, or write the file anew.",
        ),
        "ND1902": Code(
            "device: does not open, take its configuration, or offer what is asked",
            "No board, one in use, a stub of the vendor's package, or another revision of it.",
            "neurodeploy doctor says what is installed and which boards answer.",
        ),
        "ND2001": Code(
            "verification: nothing was compared",
            "No sample, no step, or no value that both sides have: equality of nothing shows nothing.",
            "Give an input of at least one step, and observe the same groups on both sides.",
        ),
        "ND2002": Code(
            "verification: difference",
            "Two runs, files or configurations that must be equal are not.",
            "The message names the first difference: layer, neuron, step, state and line of the text.",
        ),
        "ND2003": Code(
            "verification: runs cannot be compared",
            "Different shapes or groups, or an oracle that does not have what the network needs.",
            "Run both with the same input and length; ask another oracle.",
        ),
        "ND2101": Code(
            "bundle: unreadable or incomplete",
            "A file is missing, additional, a link, or too large; or something else stands in that place.",
            "Fetch the bundle again, whole. To write, choose another name or remove what is there yourself.",
        ),
        "ND2201": Code(
            "proof: dialects of a chip could differ",
            "Programs that compute the chip differ at a corner that this network could reach.",
            "Lower the weights or the input cap of the neuron that is named, so that the value stays below it.",
        ),
        "ND2202": Code(
            "guard: outside what is known of the chip",
            "A combination of registers of which nobody has published what the silicon does.",
            "Change the value that is named; neurodeploy targets show NAME lists the guards.",
        ),
        "ND2203": Code(
            "proof: certificate that does not show what it claims",
            "The certificate is of another network, or somebody has changed it.",
            "Prove the network again: neurodeploy prove BUNDLE.",
        ),
        "ND2301": Code(
            "recording: incomplete, contradicts itself, or of another network or input",
            "The board lost or reordered events, a time-out cut the session, or the file belongs to another bundle.",
            "Record again; the message says which samples are whole.",
        ),
        "ND2401": Code(
            "search: budget or data",
            "Nothing is stated that must be kept, or an accuracy is asked of data without labels.",
            "State error=..., accuracy=... or both; give labels with the calibration data.",
        ),
        "ND2402": Code(
            "search: results of another search",
            "The file holds evaluations of another model, target, calibration, or version of this program.",
            "Give the search a file of its own; what stands in the other one is left as it is.",
        ),
        "ND9001": Code(
            "optional package or oracle missing",
            "An extra was not installed, or a package of that name is only a stub.",
            "The message ends with the pip line; neurodeploy doctor shows all of them.",
        ),
        "ND9002": Code(
            "usage",
            "A misspelt command, option, name of an oracle or format.",
            "neurodeploy COMMAND --help lists what there is.",
        ),
    }
)
