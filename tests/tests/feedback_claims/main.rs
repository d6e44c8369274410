//! What follows from the definitions of the feedback rules (BP, FA, uSF, brSF,
//! frSF, KP, DFA, direct KP, weight mirrors), through the real plugins: in whole
//! networks and on single layers, each against a slow reference or a property.

mod consequences;
mod decay;
mod direct;
mod gradients;
mod networks;
mod options;
mod phases;
mod singles;
mod sites;
mod tensors;
