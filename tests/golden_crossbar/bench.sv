// Drives a crossbar core as its host does: reset, transfers of the programming port, reset, then one event after the
// other, each sent when the core is idle. Reads net.spi.hex and net.events.hex; writes net.spikes.txt (number of the
// event, neuron) and the memory of the neurons at the end, net.final.hex.
`timescale 1ns / 1ps
module bench;
  reg clk = 0, rst = 0, sck = 0, mosi = 0, req = 0, taken = 0;
  reg [9:0] address = 0;
  wire acknowledged, fired, full, miso;
  wire [7:0] neuron;
  reg [39:0] transfer;
  reg [15:0] word;
  integer file, spikes, bit_number, quiet, number;

  tinyODIN core (
      .CLK(clk), .RST(rst), .SCK(sck), .MOSI(mosi), .MISO(miso),
      .AERIN_ADDR(address), .AERIN_REQ(req), .AERIN_ACK(acknowledged),
      .AEROUT_ADDR(neuron), .AEROUT_REQ(fired), .AEROUT_ACK(taken), .SCHED_FULL(full)
  );

  always #2 clk = ~clk;

  task reset;
    begin
      repeat (20) @(posedge clk);
      rst = 1;
      repeat (10) @(posedge clk);
      rst = 0;
      repeat (20) @(posedge clk);
    end
  endtask

  initial begin
    number = -1;
    spikes = $fopen("net.spikes.txt", "w");
    reset;
    file = $fopen("net.spi.hex", "r");
    while ($fscanf(file, "%h\n", transfer) == 1)
      for (bit_number = 39; bit_number >= 0; bit_number = bit_number - 1) begin
        mosi = transfer[bit_number];
        repeat (2) @(posedge clk);
        sck = 1;
        repeat (2) @(posedge clk);
        sck = 0;
      end
    reset;
    file = $fopen("net.events.hex", "r");
    while ($fscanf(file, "%h\n", word) == 1) begin
      number = number + 1;
      @(posedge clk);
      address = word[9:0];
      req = 1;
      wait (acknowledged);
      @(posedge clk);
      req = 0;
      wait (!acknowledged);
      quiet = 0;
      while (quiet < 12) begin
        @(posedge clk);
        quiet = core.SCHED_EMPTY && !core.AEROUT_CTRL_BUSY && core.controller_0.state == 0 && !fired && !taken
            ? quiet + 1 : 0;
      end
    end
    $writememh("net.final.hex", core.neuron_core_0.neurarray_0.SRAM);
    $fclose(spikes);
    $display("PASS %0d", number + 1);
    $finish;
  end

  always @(posedge clk)
    if (fired && !taken) begin
      if (number >= 0) $fdisplay(spikes, "%0d %0d", number, neuron);  // before the first reset anything may stand there
      taken <= 1;
    end else if (!fired) taken <= 0;
endmodule
