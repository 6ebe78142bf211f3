package ufm

var bnReLUQuestions []Question
