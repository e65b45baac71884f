"""Boards that a stand-in of samna pretends to have."""

from samna_layers_stand_in import samna

BOARDS = {"speck2f": ("Speck2fDevKit", "Speck2fModuleDevKit"), "speck2e": ("Speck2eTestBoard", "Speck2eDevKit")}


NODES = {
    "speck2f": ("BasicSourceNode_speck2f_event_input_event", "BasicSinkNode_speck2f_event_output_event"),
    "speck2e": ("BasicSourceNode_speck2e_event_speck2e_input_event", "BasicSinkNode_speck2e_event_output_event"),
}


def package(name="speck2f", device=None, boards=None):
    return samna(name, boards=boards or BOARDS[name][:1], device=device, nodes=NODES[name])
